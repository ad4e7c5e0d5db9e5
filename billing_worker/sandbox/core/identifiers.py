"""Ids of the form Stripe uses: a prefix and letters that nobody can guess."""

from __future__ import annotations

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits

PREFIXES = {
    "customer": "cus_",
    "product": "prod_",
    "price": "price_",
    "payment_method": "pm_",
    "setup_intent": "seti_",
    "payment_intent": "pi_",
    "charge": "ch_",
    "refund": "re_",
    "balance_transaction": "txn_",
    "coupon": "",
    "subscription": "sub_",
    "subscription_item": "si_",
    "invoice": "in_",
    "line_item": "il_",
    "invoiceitem": "ii_",
    "invoice_payment": "inpay_",
    "billing.meter": "mtr_test_",
    "billing.meter_event": "mtrevt_",
    "billing.meter_event_summary": "mtrusg_test_",
    "dispute": "du_",
    "webhook_endpoint": "we_",
    "event": "evt_",
    "request": "req_",
    "discount": "di_",
}
_LENGTHS = {"customer": 14, "product": 14, "request": 14, "coupon": 8}


def new_id(kind: str) -> str:
    """Make an id for a new object of a kind."""
    return PREFIXES[kind] + token(_LENGTHS.get(kind, 24))


def token(length: int) -> str:
    """Make letters and digits that nobody can guess."""
    # One read of the system's randomness for all letters; the slight bias of the remainder helps nobody guess.
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(length))
