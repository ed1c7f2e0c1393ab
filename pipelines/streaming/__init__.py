"""Streams: a log replayed by the hour, each hour one transaction."""
