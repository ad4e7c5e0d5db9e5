"""Invoices: made, corrected, finalised, paid, audited."""
