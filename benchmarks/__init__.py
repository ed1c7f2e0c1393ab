"""Scripts that measure: methods against each other, and this library against named rivals."""
