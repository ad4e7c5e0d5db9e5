"""Effects keyed by what happened, and intents that call Stripe: rows, keys, runners."""
