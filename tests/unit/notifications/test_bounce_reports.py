from __future__ import annotations

import pytest

from billing_worker.domains.notifications.bounces import Bounce, read_bounces
from billing_worker.domains.notifications.errors import NotABounceError
from billing_worker.domains.notifications.recipients import read_customer_ids
from billing_worker.kernel.errors import InvalidValueError

HEAD = 'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n--b\n'
STATUS = "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
ORIGINAL = "--b\nContent-Type: message/rfc822\n\nMessage-ID: <a@example.com>\nSubject: x\n\nHello\n--b--\n"


def test_a_report_that_returns_the_whole_message_about_two_recipients() -> None:
    raw = (
        HEAD + STATUS + "Final-Recipient: rfc822; <ann@example.com>\nAction: Failed\nStatus: 5.7.1 (refused)\n"
        "Diagnostic-Code: smtp; 550 5.7.1 no,\n ask bob@example.com\n\n"
        "Original-Recipient: rfc822;bob@example.com\nAction: delayed\nStatus: 4.4.1\n\n" + ORIGINAL
    )
    first, second = read_bounces(raw.encode())
    assert first == Bounce("<a@example.com>", "ann@example.com", "failed", "5.7.1", "550 5.7.1 no, ask ***@***")
    assert (first.is_failure, first.is_permanent) == (True, True)
    assert (second.recipient, second.action, second.is_failure, second.is_permanent) == (
        "bob@example.com",
        "delayed",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("Subject: hi\n\nhello", "no delivery report"),
        (HEAD + STATUS + "Final-Recipient: rfc822; a@b.c\nAction: failed\n\n--b--\n", "stays unknown"),
        (HEAD + STATUS + ORIGINAL, "names no recipient"),
        ("", "no delivery report"),
        ("\x00\xff" * 50, "no delivery report"),
    ],
)
def test_what_is_no_report_about_a_message_is_told_from_one(raw: str, why: str) -> None:
    with pytest.raises(NotABounceError, match=why):
        read_bounces(raw.encode("latin-1"))


@pytest.mark.parametrize(
    "lines",
    [
        ["cus_1\n", "cus_2\n", "cus_1\n"],
        ["\ufeffName,Customer_ID\n", "Ann,cus_1\n", "\n", '"Bob, Inc.", cus_2 \n'],
        ["id,amount\n", "cus_1,5\n", "cus_2,6\n"],
    ],
)
def test_files_of_customers_name_each_once(lines: list[str]) -> None:
    assert read_customer_ids(lines) == ["cus_1", "cus_2"]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "names no customer"),
        (["cus_1\n", "ann@example.com\n"], r"line 2 has no customer but 'ann@example.com'"),
        (["name,customer\n", "Ann\n"], "line 2 has no customer but ''"),
    ],
)
def test_half_a_list_is_refused(lines: list[str], why: str) -> None:
    with pytest.raises(InvalidValueError, match=why):
        read_customer_ids(lines)
