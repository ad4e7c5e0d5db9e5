"""What is stored of customers."""
