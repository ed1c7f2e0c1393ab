"""Preparation at size: rows per second and memory."""
