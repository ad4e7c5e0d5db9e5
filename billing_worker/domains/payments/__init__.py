"""Collecting open invoices: due retries, the payment queue, the ledger of money."""
