"""What users may use, and an operator's word above it."""
