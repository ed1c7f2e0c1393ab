"""Solvers of the partial transport problem, and what they share."""
