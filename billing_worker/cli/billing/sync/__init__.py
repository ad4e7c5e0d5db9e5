"""The mirror and Stripe: when they were compared, and what differs."""
