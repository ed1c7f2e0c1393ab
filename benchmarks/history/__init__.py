"""History: its cost, and what it is worth."""
