"""Quotas: limits per user, metric and period, and their resets."""
