"""One use case of customers per file."""
