"""What history costs in preparation, and what others do on the same table."""
