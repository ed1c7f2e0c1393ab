"""What another policy would have earned, on a public log."""
