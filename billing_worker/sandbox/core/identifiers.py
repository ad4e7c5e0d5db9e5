"""Ids of the form Stripe uses: a prefix and letters that nobody can guess."""

from __future__ import annotations

import random
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
    "test_helpers.test_clock": "clock_",
    "account": "acct_",
    "transfer": "tr_",
    "transfer_reversal": "trr_",
    "payout": "po_",
    "topup": "tu_",
    "tax_rate": "txr_",
    "tax_id": "txi_",
    "credit_note": "cn_",
    "credit_note_line_item": "cnli_",
    "promotion_code": "promo_",
    "quote": "qt_",
    "item": "li_",
    "checkout.session": "cs_test_",
    "payment_link": "plink_",
    "subscription_schedule": "sub_sched_",
    "billing_portal.configuration": "bpc_",
    "billing_portal.session": "bps_",
    "identity.verification_session": "vs_",
    "reporting.report_run": "frr_",
    "file": "file_",
    "card": "card_",
    "token": "tok_",
    "customer_cash_balance_transaction": "ccsbtxn_",
    "customer_balance_transaction": "cbtxn_",
    "mandate": "mandate_",
    "application": "ca_",
}
_LETTERS = random.Random(secrets.randbits(256))  # noqa: S311 - a simulation's ids guard nothing
"""A source of its own: a read of the system's randomness for every id costs more than all else about it."""
_LENGTHS = {"customer": 14, "product": 14, "request": 14, "coupon": 8}


def new_id(kind: str) -> str:
    """Make an id for a new object of a kind."""
    return PREFIXES[kind] + token(_LENGTHS.get(kind, 24))


def token(length: int) -> str:
    """Make letters and digits that do not come twice."""
    return "".join(_LETTERS.choices(_ALPHABET, k=length))
