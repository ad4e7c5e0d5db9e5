"""Comparing the mirror with Stripe, and healing what differs."""
