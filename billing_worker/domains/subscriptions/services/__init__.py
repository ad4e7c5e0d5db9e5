"""One use case of subscriptions per file."""
