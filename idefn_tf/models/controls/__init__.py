"""Controls: what a relabelling must beat, one file each."""
