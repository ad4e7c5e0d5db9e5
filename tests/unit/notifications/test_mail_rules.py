from __future__ import annotations

from datetime import timedelta

import pytest

from billing_worker.domains.notifications.rules import (
    check_recipient,
    check_sending,
    message_id_of,
    split_sender,
    wait_after,
)
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import load_settings


def test_a_message_id_is_a_function_of_what_happened() -> None:
    names = [
        message_id_of(account, key, "example.com")
        for account, key in (("", "mail:a:in_1"), ("", "mail:a:in_2"), ("acct_1", "mail:a:in_1"))
    ]

    assert len(set(names)) == 3
    assert names[0] == message_id_of("", "mail:a:in_1", "example.com")
    assert names[0] == "<27c05e4e5069d1197f442d6efd347fb25bce3546@example.com>"


@pytest.mark.parametrize(
    "address", ["ann@example.com", "o'neil+tag@mail.example.co.uk", "a@localhost", "x" * 64 + "@example.com"]
)
def test_an_address_that_can_be_written_to(address: str) -> None:
    assert check_recipient(address, is_deleted=False) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (None, "no mail address"),
        ("", "no mail address"),
        ("ann", "cannot be written to"),
        ("ann@example.com\r\nBcc: eve@example.com", "cannot be written to"),
        ("ann@example.com>", "cannot be written to"),
        ("ann@example.com, eve@example.com", "cannot be written to"),
        ("änn@example.com", "cannot be written to"),
        ("a@" + "x" * 300, "cannot be written to"),
    ],
)
def test_what_is_no_address_is_not_written_to(address: str | None, why: str) -> None:
    assert why in str(check_recipient(address, is_deleted=False))


def test_a_deleted_customer_is_left_alone() -> None:
    assert check_recipient("ann@example.com", is_deleted=True) == "the customer was deleted"


def test_mail_is_sent_only_when_it_is_on_and_has_a_sender() -> None:
    assert check_sending(is_enabled=True, sender="a@b.c") is None
    assert "MAIL_ENABLED=false" in str(check_sending(is_enabled=False, sender="a@b.c"))
    assert "MAIL_FROM is not set" in str(check_sending(is_enabled=True, sender=""))


@pytest.mark.parametrize(
    ("mail_from", "name", "address"),
    [
        ("billing@example.com", "example.com", "billing@example.com"),
        ("<billing@example.com>", "example.com", "billing@example.com"),
        ("Example, Inc. <billing@example.com>", "Example, Inc.", "billing@example.com"),
        ('"Example" <billing@example.com>', "Example", "billing@example.com"),
    ],
)
def test_a_sender_may_have_a_name(mail_from: str, name: str, address: str) -> None:
    assert load_settings({"MAIL_FROM": mail_from, "NSELF_HOME": "/nonexistent"}).mail_from == mail_from
    assert split_sender(mail_from) == (name, address)


@pytest.mark.parametrize(
    "mail_from", ["billing", ".a@b.c", "a..b@c.d", "a@b.c>", "<a@b.c", "a b@c.d", "x <a@b.c> y", "a@b.c\nBcc: d@e.f"]
)
def test_what_is_no_sender_stops_the_start(mail_from: str) -> None:
    with pytest.raises(InvalidValueError, match=r"write for example billing@example\.com"):
        load_settings({"MAIL_FROM": mail_from, "NSELF_HOME": "/nonexistent"})


def test_waits_double_from_a_minute_to_an_hour() -> None:
    assert [wait_after(attempts) for attempts in (1, 2, 3, 7, 30)] == [
        timedelta(minutes=minutes) for minutes in (1, 2, 4, 60, 60)
    ]
