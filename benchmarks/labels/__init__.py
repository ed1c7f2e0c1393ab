"""Studies of pseudo-labels: their quality, recipes, the click's share of a ranking."""
