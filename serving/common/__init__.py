"""What the serving commands share: requests, connections, models.config."""
