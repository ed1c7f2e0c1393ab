"""Training speed beside DeepCTR and torch-rechub, and what a step costs."""
