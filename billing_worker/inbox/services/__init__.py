"""One use case of the inbox per file."""
