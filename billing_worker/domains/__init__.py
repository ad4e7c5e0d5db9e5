"""The slices of billing, low to high: each owns its rules, rows, services and tasks (ARCHITECTURE §5)."""
