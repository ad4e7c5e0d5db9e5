"""Customers: who is billed, and their history."""
