"""From raw logs to the prepared form, whatever the data set."""
