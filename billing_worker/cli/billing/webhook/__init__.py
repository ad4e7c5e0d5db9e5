"""Stripe's webhooks: what was delivered, what became of it, what has to be replayed."""
