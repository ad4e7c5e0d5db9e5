"""Subscriptions: what customers have, and its history."""
