"""Readers of streams and of files in object stores."""
