"""Whose address a delivery has, and whether it may deliver."""

from __future__ import annotations

import json

import pytest

from billing_worker.inbox.addresses import AddressList, parse_published, plain_address, shipped_addresses
from billing_worker.kernel.errors import InvalidValueError
from webhook_receiver.callers import MAX_ADDRESSES, MINUTE_SECONDS, REFUSALS_A_MINUTE, Callers

STRIPE = "54.187.216.72"


def test_the_shipped_list_is_stripes() -> None:
    shipped = shipped_addresses()
    assert len(shipped.networks) == 12
    assert STRIPE in shipped
    assert f"::ffff:{STRIPE}" in shipped
    assert [address in shipped for address in ("54.187.216.73", "127.0.0.1", "", "no address")] == [False] * 4


def test_networks_hold_their_addresses() -> None:
    listed = AddressList(["198.51.101.0/24", "2600:1900::/64"])
    assert [one in listed for one in ("198.51.101.9", "198.51.102.9", "2600:1900::7", "2600:1901::7")] == [
        True, False, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"<html>maintenance</html>",
        b"{}",
        b'{"WEBHOOKS": []}',
        b'{"WEBHOOKS": "3.18.12.63"}',
        b'{"WEBHOOKS": [318]}',
        b'{"WEBHOOKS": ["0.0.0.0/0"]}',
        b'{"WEBHOOKS": ["3.0.0.0/8"]}',
        b'{"WEBHOOKS": ["::/0"]}',
        b'{"WEBHOOKS": ["10.0.0.1"]}',
        b'{"WEBHOOKS": ["127.0.0.1"]}',
        b'{"WEBHOOKS": ["3.18.12.63", "nonsense"]}',
        json.dumps({"WEBHOOKS": [f"3.18.{number // 200}.{number % 200 + 1}" for number in range(300)]}).encode(),
    ],
)
def test_a_list_that_cannot_be_stripes_is_refused_whole(content: bytes) -> None:
    with pytest.raises(InvalidValueError):
        parse_published(content)


@pytest.mark.parametrize(
    ("hops", "peer", "forwarded_for", "name"),
    [
        (0, "203.0.113.9", None, "203.0.113.9"),
        (0, "203.0.113.9", STRIPE, "203.0.113.9"),  # anybody can write the header
        (0, f"::ffff:{STRIPE}", None, STRIPE),
        (0, "[2600:1900::7]", None, "2600:1900::7"),
        (1, "10.0.0.2", STRIPE, STRIPE),
        (1, "10.0.0.2", f"{STRIPE}, 203.0.113.9", "203.0.113.9"),  # a stranger's own header goes before the proxy's
        (2, "10.0.0.2", f"6.6.6.6, {STRIPE}, 10.0.0.1", STRIPE),
        (2, "10.0.0.2", STRIPE, None),  # a way around the outer proxy
        (1, "10.0.0.2", None, None),
        (1, "10.0.0.2", "unknown", None),
    ],
)
def test_the_sender_is_who_the_outermost_trusted_proxy_saw(
    hops: int, peer: str, forwarded_for: str | None, name: str | None
) -> None:
    callers = Callers(trusted_hops=hops, allowed=shipped_addresses)
    assert callers.name(peer, forwarded_for) == name
    assert callers.is_allowed(callers.name(peer, forwarded_for)) is (name == STRIPE)


def test_without_a_list_everybody_may_deliver() -> None:
    assert Callers().is_allowed(None)


def test_refusals_are_counted_by_address_and_minute_in_bounded_memory() -> None:
    now = [0.0]
    callers = Callers(clock=lambda: now[0])
    assert [callers.count_refusal("203.0.113.9") for _ in range(REFUSALS_A_MINUTE + 2)] == [
        *[True] * REFUSALS_A_MINUTE,
        *[False] * 2,
    ]
    assert callers.count_refusal("203.0.113.10")
    now[0] = MINUTE_SECONDS
    assert callers.count_refusal("203.0.113.9")
    for number in range(MAX_ADDRESSES + 10):
        callers.count_refusal(str(number))
    assert len(callers._refusals) == MAX_ADDRESSES


def test_addresses_have_one_form() -> None:
    forms = ("::ffff:3.18.12.63", " 3.18.12.63 ", "2600:1900:0::7", "3.18.12.063", "", None)
    assert [plain_address(one) for one in forms] == ["3.18.12.63", "3.18.12.63", "2600:1900::7", None, None, None]
