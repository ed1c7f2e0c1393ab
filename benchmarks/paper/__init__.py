"""The paper's comparison: a grid of runs, its statistics, one page."""
