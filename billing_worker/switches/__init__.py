"""Operator switches as rows: read at each unit of work and again before each money call (ARCHITECTURE §7)."""
