"""Two processes, sharded tables: what they cost and bring."""
