"""The training loop of every model: step, metrics, replicas."""
