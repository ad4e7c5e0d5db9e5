"""Looking over all customers."""
