"""What was used beyond a quota, and what it costs."""
