"""Ali-CCP: the raw four files."""
