"""Customers' cards and other ways to pay."""
