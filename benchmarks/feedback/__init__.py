"""Delayed feedback: logs whose delays are planted by a stated law."""
