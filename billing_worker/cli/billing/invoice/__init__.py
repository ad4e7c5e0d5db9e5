"""Invoices: what was asked for, and its history."""
