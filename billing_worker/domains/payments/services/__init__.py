"""What is done with payments, one use case a file."""
