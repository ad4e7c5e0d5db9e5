"""One use case of changes per file."""
