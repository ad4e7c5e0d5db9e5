"""Customers: who they are at Stripe, which user each belongs to, and whether something about them looks wrong."""
