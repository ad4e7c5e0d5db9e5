"""Caches in Redis, which may be emptied at any moment."""
