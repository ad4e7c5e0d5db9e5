"""Subscriptions: made, changed, ended, compared."""
