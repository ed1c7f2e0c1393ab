"""The paper's loops as printed: references for the fast solvers."""
