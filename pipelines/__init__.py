"""Jobs run from a checkout: python -m pipelines.prepare, train, evaluate, export, run."""
