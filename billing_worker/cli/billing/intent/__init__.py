"""What was asked of Stripe: open, parked and finished intents."""
