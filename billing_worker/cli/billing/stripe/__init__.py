"""The connection to Stripe: mode, key, settings, limits."""
