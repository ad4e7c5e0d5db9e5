"""One use case of the catalog per file."""
