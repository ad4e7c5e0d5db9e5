"""Invoices: made, corrected, finalised, audited; the lines and totals are Stripe's, the checks are ours."""
