"""What is done about failed payments, one use case a file."""
