"""Services of mail."""
