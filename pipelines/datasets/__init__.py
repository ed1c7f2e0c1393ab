"""Data sets: one module turns one raw form into the prepared form."""
