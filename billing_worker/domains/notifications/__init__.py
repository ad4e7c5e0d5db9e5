"""Mail to customers: what happened is told once, in plain words."""
