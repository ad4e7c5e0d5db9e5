"""The search query language, clause by clause."""

from __future__ import annotations

import re
from typing import Any

import pytest

from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.queries import parse_query
from billing_worker.sandbox.operations.search import FIELDS

CUSTOMERS = FIELDS["customer", "customers"]
CHARGES = FIELDS["charge", "charges"]
AMY: dict[str, Any] = {"email": "Amy@Rocketrides.io", "name": "Amy O'Hara", "phone": None, "created": 100}
AMY["metadata"] = {"plan": "pro", 'a "b"': "c\\d"}


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ('email:"amy@rocketrides.io"', True),
        ("email:'bob@rocketrides.io'", False),
        ("email~'rocket'", True),
        ("-email~'rocket'", False),
        (r"name:'amy o\'hara'", True),
        ("phone:null", True),
        ("-phone:null", False),
        ("created>99", True),
        ("created>100", False),
        ("created>=100 created<=100", True),
        ("created:100", True),
        ("metadata['plan']:'pro'", True),
        ("metadata['plan']:'PRO' AND created<50", False),
        ("metadata['plan']:'none' or created > 50", True),
        ("metadata['none']:null", True),
        (r"""metadata["a \"b\""]:"c\\d" """, True),
        ("name~'amy' email~'rides' -metadata['plan']:'free'", True),
    ],
)
def test_a_query_holds_or_not(query: str, *, holds: bool) -> None:
    assert parse_query(query, CUSTOMERS, "customers")(AMY) is holds


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "unable to parse"),
        ("email", "unable to parse your search query at `email`"),
        ("email:'a' AND", "unable to parse"),
        ("email:'a''b'", "unable to parse"),
        ("(email:'a')", "unable to parse"),
        ("colour:'red'", "unsupported search field for resource `customers`"),
        ("metadata:'pro'", "unsupported search field"),
        ("email['x']:'pro'", "unsupported search field"),
        ("email>'a'", "operator `>` is not supported for the string field"),
        ("metadata['plan']~'pro'", "operator `~` is not supported for the token field"),
        ("created~'100'", "operator `~` is not supported for the numeric field"),
        ("created>'soon'", "is no number"),
        ("name~'am'", "at least 3 characters"),
        ("name:'a' AND name:'b' OR name:'c'", "cannot combine both AND and OR"),
        (" ".join(["name:'a'"] * 11), "at most 10 clauses"),
    ],
)
def test_a_query_that_cannot_be_understood_is_refused(query: str, words: str) -> None:
    with pytest.raises(ApiError, match=re.escape(words)) as refused:
        parse_query(query, CUSTOMERS, "customers")
    assert (refused.value.status, refused.value.param) == (400, "query")


def test_nested_fields_and_booleans() -> None:
    charge = {"refunded": False, "payment_method_details": {"card": {"last4": "4242", "exp_year": 2034}}}
    held = parse_query("refunded:'false' payment_method_details.card.last4:4242", CHARGES, "charges")
    assert held(charge)
    assert not parse_query("payment_method_details.card.exp_year<2034", CHARGES, "charges")(charge)
