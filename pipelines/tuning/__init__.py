"""The tuning job: settings, oracles, trials that survive a kill, and the winner."""
