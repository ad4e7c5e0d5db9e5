"""Overage: what was used beyond a quota, priced exactly, billed once, explained to the record."""
