"""Schemas from tables: what a column probably is, and why."""
