"""Payments that were stored instead of made."""
