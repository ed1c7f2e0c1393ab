"""Any table of exposures, as people write them."""
