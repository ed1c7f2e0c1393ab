"""RPOT: the transport of one batch inside a train step."""
