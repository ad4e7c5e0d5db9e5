"""One use case of effects and intents per file."""
