"""Stripe's objects as stored rows: which types exist, what is promoted to columns, how a snapshot becomes a row."""
