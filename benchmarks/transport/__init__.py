"""The transport against its rivals, and the map of its regimes."""
