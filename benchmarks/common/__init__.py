"""What every benchmark shares: machine facts, results written whole, step times."""
