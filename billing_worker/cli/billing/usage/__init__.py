"""Metered usage: record, show, aggregate, compare."""
