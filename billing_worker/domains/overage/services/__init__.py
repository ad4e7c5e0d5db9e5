"""One use case of overage per file."""
