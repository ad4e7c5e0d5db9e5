"""Compare the mirror with Stripe and heal what differs."""
