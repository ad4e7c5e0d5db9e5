"""Subscriptions, invoices, usage, quotas, webhooks and all else that is billing."""
