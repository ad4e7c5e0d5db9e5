"""How tax is computed."""
