"""What to do after a refusal of Stripe's: the next command, by what Stripe said."""

from __future__ import annotations

import re
from collections.abc import Mapping

LISTS: Mapping[str, str] = {
    "customer": "nself billing customer list",
    "price": "nself billing price list",
    "product": "nself billing product list",
    "paymentmethod": "nself billing customer show CUSTOMER",
    "payment_method": "nself billing customer show CUSTOMER",
    "subscription": "nself billing subscription list",
    "invoice": "nself billing invoice list",
    "taxrate": "nself billing tax list-rates",
    "tax_rate": "nself billing tax list-rates",
}
"""Where the ids of a kind of object are found, by Stripe's word for it in lower case."""

WORDINGS: tuple[tuple[str, str], ...] = (
    ("previously used without being attached", "it cannot be used again: create another payment method"),
    ("testmode", "ids of test mode and live mode are different: `nself billing stripe show-mode`"),
    ("a similar object exists in", "ids of test mode and live mode are different: `nself billing stripe show-mode`"),
    ("attached payment source", "attach a payment method first: `nself billing payment-method attach`"),
    ("default payment method", "attach a payment method first: `nself billing payment-method attach --default`"),
)

_MISSING = re.compile(r"No such (\w+)", re.IGNORECASE)


def hint_at_next(said: str) -> str:
    """Return the next step as a clause to add to Stripe's words, empty where there is none to name."""
    for words, step in WORDINGS:
        if words in said.lower():
            return f"; {step}"
    missing = _MISSING.search(said)
    command = LISTS.get(missing[1].lower()) if missing else None
    return f"; `{command}` shows which there are" if command else ""
