"""One experiment: its config, its run folder, its model, its training."""
