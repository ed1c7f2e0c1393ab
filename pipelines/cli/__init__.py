"""What every job's command line and terminal output share."""
