"""The REST door: HTTP connection, routes, application, TLS."""
