"""The report's sections: one module each, with one `section()`."""
