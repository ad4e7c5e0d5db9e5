"""Whatever a valid signature carries becomes a row: an event, or bytes in quarantine with a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.inbox.intake import MAX_DEPTH, Delivery, keep_bytes, read_delivery
from billing_worker.inbox.states import EventStatus, Source
from billing_worker.kernel.keys import lane_of

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1_772_000_000,
    "livemode": False,
    "type": "customer.updated",
    "data": {"object": {"id": "cus_1", "object": "customer", "name": "Zoë"}},
}
THIN: dict[str, Any] = {
    "id": "evt_thin",
    "object": "v2.core.event",
    "created": "2026-02-25T06:13:20.000Z",
    "livemode": False,
    "type": "v1.billing.meter.no_meter_found",
    "related_object": {"id": "mtr_1", "type": "billing.meter"},
}


def encode(event: object) -> bytes:
    return json.dumps(event).encode()


def changed(**changes: Any) -> bytes:
    return encode({**EVENT, **changes})


def without(key: str) -> bytes:
    return encode({name: value for name, value in EVENT.items() if name != key})


def test_a_good_event_becomes_a_pending_row() -> None:
    body = encode(EVENT)
    assert read_delivery(body, livemode=False) == Delivery(
        event_id="evt_1",
        body=body,
        account_id="",
        type="customer.updated",
        api_version="2026-10-28.endive",
        source=Source.WEBHOOK,
        object_type="customer",
        object_id="cus_1",
        object_key="/customer/cus_1",
        customer_id="cus_1",
        lane=lane_of("/customer/cus_1"),
        created=datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC),
    )


def test_the_source_is_kept() -> None:
    assert read_delivery(encode(EVENT), livemode=False, source=Source.EVENTS_API).source is Source.EVENTS_API
    assert read_delivery(b"[]", livemode=False, source=Source.EVENTS_API).source is Source.EVENTS_API


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b"nonsense", "invalid_json"),
        (b'{"id": "evt_1"', "invalid_json"),
        (b'{"id": NaN}', "invalid_json"),
        (b'{"id": 1e999}', "invalid_json"),
        (b'{"id": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        ("{}".encode("utf-16"), "invalid_utf8"),
        (b'{"id": "\xff"}', "invalid_utf8"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"evt_1"', "not_an_object"),
        (b"{}", "not_an_event"),
        (changed(object="customer"), "not_an_event"),
        (changed(object=["event"]), "not_an_event"),
        (without("id"), "missing_key"),
        (without("type"), "missing_key"),
        (without("created"), "missing_key"),
        (without("livemode"), "missing_key"),
        (without("data"), "missing_key"),
        (changed(data={}), "missing_key"),
        (changed(data={"object": []}), "missing_key"),
        (changed(data={"object": {"id": "cus_1"}}), "missing_key"),
        (changed(livemode=0), "missing_key"),
        (changed(id=7), "malformed_key"),
        (changed(id=""), "malformed_key"),
        (changed(id="evt 1"), "malformed_key"),
        (changed(id="evt_\ud800"), "malformed_key"),
        (changed(id="e" * 256), "malformed_key"),
        (changed(type="t" * 256), "malformed_key"),
        (changed(created=True), "malformed_key"),
        (changed(created=-1), "malformed_key"),
        (changed(created=1.5), "malformed_key"),
        (changed(created=10**15), "malformed_key"),
        (changed(created=10**40), "malformed_key"),
        (changed(account="acct/1"), "malformed_key"),
        (changed(account="a" * 256), "malformed_key"),
        (changed(data={"object": {"id": "x", "object": "a/b"}}), "malformed_key"),
        (changed(data={"object": {"id": "x" * 256, "object": "charge"}}), "malformed_key"),
        (changed(data={"object": {"id": "x\0", "object": "charge"}}), "malformed_key"),
        (changed(data={"object": {"id": "x", "object": "charge", "customer": "\udfff"}}), "malformed_key"),
        (encode({**THIN, "created": "yesterday"}), "malformed_key"),
    ],
)
def test_what_is_no_event_is_kept_as_bytes_under_their_digest(body: bytes, reason: str) -> None:
    delivery = read_delivery(body, livemode=False)
    assert (delivery.status, delivery.reason) == (EventStatus.QUARANTINED, reason)
    assert delivery.event_id == f"unreadable_{sha256(body).hexdigest()}"
    assert (delivery.body, delivery.lane, delivery.created, delivery.object_key) == (body, 0, None, "")


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "a\udfff", "\udc00\ud800"])
@pytest.mark.parametrize("place", ["value", "key"])
def test_text_that_jsonb_refuses_is_quarantined_under_its_own_id(text: str, place: str) -> None:
    metadata = {text: "x"} if place == "key" else {"note": [text]}
    delivery = read_delivery(changed(request=metadata), livemode=False)
    assert (delivery.event_id, delivery.status, delivery.reason) == (
        "evt_1",
        EventStatus.QUARANTINED,
        "unstorable_text",
    )
    assert delivery.object_key == "/customer/cus_1"


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "\U0001f600", "\\ud800"])
def test_text_that_only_looks_unstorable_is_pending(text: str) -> None:
    assert read_delivery(changed(request={"note": text}), livemode=False).status is EventStatus.PENDING


@pytest.mark.parametrize(("event_mode", "ours"), [(True, False), (False, True)])
def test_events_of_the_other_mode_are_quarantined(event_mode: bool, ours: bool) -> None:  # noqa: FBT001
    delivery = read_delivery(changed(livemode=event_mode), livemode=ours)
    assert (delivery.event_id, delivery.status, delivery.reason) == ("evt_1", EventStatus.QUARANTINED, "other_mode")
    assert delivery.detail == f"event has livemode={str(event_mode).lower()}"
    assert read_delivery(changed(livemode=event_mode), livemode=event_mode).status is EventStatus.PENDING


@pytest.mark.parametrize(
    ("changes", "account", "customer"),
    [
        ({}, "", None),
        ({"related_object": None}, "", None),
        ({"context": "org_1/acct_7", "related_object": {"id": "cus_1", "type": "customer"}}, "acct_7", "cus_1"),
    ],
)
def test_thin_events_wait_under_a_key_of_their_own(changes: dict[str, Any], account: str, customer: str | None) -> None:
    delivery = read_delivery(encode({**THIN, **changes}), livemode=False)
    assert (delivery.event_id, delivery.status, delivery.reason) == ("evt_thin", EventStatus.PENDING, "")
    assert (delivery.object_key, delivery.customer_id) == (f"{account}/v2.core.event/evt_thin", customer)
    assert delivery.created == datetime(2026, 2, 25, 6, 13, 20, tzinfo=UTC)


def nested(levels: int) -> bytes:
    inner: Any = 1
    for _ in range(levels):
        inner = [inner]
    return changed(data={"object": {"id": "cus_1", "object": "customer", "metadata": inner}})


def test_the_depth_is_bounded_exactly() -> None:
    around = 3  # the event, its data, the object
    assert read_delivery(nested(MAX_DEPTH - around), livemode=False).status is EventStatus.PENDING
    assert read_delivery(nested(MAX_DEPTH - around + 1), livemode=False).reason == "too_deep"


@pytest.mark.parametrize("body", [b"[" * 500_000, b'{"a":' * 200_000, b"[" * 100 + b"]" * 100])
def test_deep_nesting_never_reaches_the_parser(body: bytes) -> None:
    assert read_delivery(body, livemode=False).reason == "too_deep"


def test_brackets_inside_strings_are_no_depth() -> None:
    text = '[{"\\' * 200
    assert read_delivery(changed(request={"note": text}), livemode=False).status is EventStatus.PENDING


def test_many_shallow_objects_are_no_depth() -> None:
    assert read_delivery(changed(request=[{"n": n} for n in range(5000)]), livemode=False).status is EventStatus.PENDING


@given(st.binary(max_size=300))
def test_no_bytes_crash_it(body: bytes) -> None:
    delivery = read_delivery(body, livemode=False)
    assert delivery == keep_bytes(body, reason=delivery.reason, detail=delivery.detail)


@given(
    st.dictionaries(
        st.sampled_from([*EVENT, "account", "related_object", "context"]),
        st.sampled_from([*EVENT.values(), "v2.core.event", {"object": {}}, "\0"])
        | st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=10,
        ),
    )
)
def test_no_event_however_damaged_crashes_it(damage: dict[str, Any]) -> None:
    delivery = read_delivery(encode({**EVENT, **damage}), livemode=False)
    assert len(delivery.event_id) <= 255
    assert delivery.event_id.isprintable()
    assert (delivery.reason == "") == (delivery.status is EventStatus.PENDING)
    for text in (delivery.account_id, delivery.type, delivery.object_key, delivery.customer_id or "", delivery.detail):
        assert "\0" not in text
        text.encode()
