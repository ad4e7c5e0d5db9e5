"""What a reconciliation does, one use case a file."""
