"""Made-up customers in numbers at Stripe, in test mode only."""
