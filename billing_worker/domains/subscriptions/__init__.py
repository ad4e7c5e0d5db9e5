"""Subscriptions and what they entitle to: a customer's access."""
