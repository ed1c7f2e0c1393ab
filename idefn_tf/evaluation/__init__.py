"""Evaluation spaces, and the audit of pseudo-labels."""
