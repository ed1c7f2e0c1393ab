"""One file a method, each with its formula."""
