"""Failed payments and what is done about them."""
