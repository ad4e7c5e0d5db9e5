"""One use case of payment methods per file."""
