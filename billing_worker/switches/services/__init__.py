"""What operators do with switches."""
