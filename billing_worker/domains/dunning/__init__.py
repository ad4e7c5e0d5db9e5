"""What a failed payment calls for, and what ends it."""
