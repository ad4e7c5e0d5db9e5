"""Operate the billing system."""
