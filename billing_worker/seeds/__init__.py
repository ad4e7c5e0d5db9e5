"""Test data at Stripe: seeds with fixed faces, made-up customers in numbers, payments with test cards.

Everything goes through the gateway, as an application's calls do, and only in test mode. What was made carries a mark
in its metadata, by which it is found, not made twice, and cleared again.
"""
