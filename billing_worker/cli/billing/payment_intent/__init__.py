"""Payments as Stripe carries them out."""
