"""Which models and versions are served, and their configuration files."""
