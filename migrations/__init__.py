"""Alembic migrations of schema `billing`; run by `python -m migrations upgrade`."""
