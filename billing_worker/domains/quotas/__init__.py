"""Quotas: limits per user, metric and period; every period opened and closed exactly once, its history kept."""
