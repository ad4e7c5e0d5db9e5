"""What is stored of overage, and what it is computed from."""
