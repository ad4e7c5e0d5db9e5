"""One use case of invoices per file."""
