"""The report of a run: one module a section, drawn into one HTML page."""
