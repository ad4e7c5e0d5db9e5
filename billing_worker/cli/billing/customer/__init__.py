"""Customers: who they are at Stripe and which user each belongs to."""
