"""Scheduled runs: what is due, running, done and failed."""
