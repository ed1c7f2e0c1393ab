"""Do the doors agree? One model asked through a table, the client and plain REST."""
