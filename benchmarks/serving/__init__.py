"""The embedded server's speed and memory, beside the bare model and KServe."""
