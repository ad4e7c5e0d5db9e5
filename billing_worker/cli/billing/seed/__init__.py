"""Test data with fixed faces at Stripe, in test mode only."""
