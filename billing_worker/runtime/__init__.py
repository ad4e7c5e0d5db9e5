"""What every process sets up first: settings, structured logs, metrics."""
