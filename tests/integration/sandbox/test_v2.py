"""The v2 API through the SDK: usage one by one and as a stream, thin events with their destinations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox, receiving

ERRORS = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"


def meter_of(sandbox: Sandbox) -> Any:
    aggregation = {"formula": "sum"}
    return sandbox.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": aggregation}
    )


def usage(customer: str, value: str, identifier: str, name: str = "calls") -> dict[str, Any]:
    payload = {"stripe_customer_id": customer, "value": value}
    return {"event_name": name, "identifier": identifier, "payload": payload}


def test_usage_counts_the_same_whichever_way_it_comes(fresh: Sandbox) -> None:
    meter, customer = meter_of(fresh), fresh.v1.customers.create({}).id
    billing: Any = fresh.client.v2.billing
    now = fresh.now()
    at = datetime.fromtimestamp(now - 60, UTC).isoformat()
    one = billing.meter_events.create(usage(customer, "5", "one") | {"timestamp": at})
    assert (one.object, one.identifier, datetime.fromisoformat(one.timestamp)) == (
        "v2.billing.meter_event",
        "one",
        datetime.fromtimestamp(now - 60, UTC),
    )
    opened = billing.meter_event_session.create()
    streaming: Any = stripe.StripeClient(
        opened.authentication_token, base_addresses={"meter_events": fresh.base, "api": fresh.base}
    )
    streaming.v2.billing.meter_event_stream.create(
        {"events": [usage(customer, "7", "two"), usage(customer, "1", "three")]}
    )
    fresh.v1.billing.meter_events.create(usage(customer, "2", "four"))
    cancelled = billing.meter_event_adjustments.create(
        {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "three"}}
    )
    assert (cancelled.status, cancelled.cancel.identifier) == ("complete", "three")
    start = now - now % 60 - 120
    summaries = fresh.v1.billing.meters.event_summaries.list(
        meter.id, {"customer": customer, "start_time": start, "end_time": start + 600}
    )
    assert [summary.aggregated_value for summary in summaries.data] == [14.0]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        billing.meter_events.create(usage(customer, "5", "one"))
    assert refused.value.code == "duplicate_meter_event"


def test_what_a_stream_cannot_take_is_told_by_thin_events_that_are_fetched(fresh: Sandbox) -> None:
    meter, customer = meter_of(fresh), fresh.v1.customers.create({}).id
    v2: Any = fresh.client.v2
    with receiving() as receiver:
        destination = v2.core.event_destinations.create(
            {
                "name": "usage",
                "type": "webhook_endpoint",
                "event_payload": "thin",
                "enabled_events": [ERRORS],
                "webhook_endpoint": {"url": receiver.url},
                "include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"],
            }
        )
        v2.billing.meter_event_stream.create(
            {
                "events": [
                    usage(customer, "many", "a"),
                    usage("cus_gone", "1", "b"),
                    usage(customer, "1", "c", name="unheard"),
                    usage(customer, "3", "d"),
                ]
            }
        )
        receiver.wait_for(1)
        delivery = receiver.deliveries[0]
        secret = destination.webhook_endpoint.signing_secret
        notice: Any = fresh.client.parse_event_notification(delivery.body, delivery.signature, secret)
        assert isinstance(notice, stripe.events.V1BillingMeterErrorReportTriggeredEventNotification)
        assert notice.related_object.id == meter.id
        event = notice.fetch_event()
        assert sorted(kind.code for kind in event.data.reason.error_types) == [
            "meter_event_customer_not_found",
            "meter_event_invalid_value",
        ]
        assert notice.fetch_related_object().id == meter.id
        fresh.control("thin_events", {"type": ERRORS, "meter": meter.id})
        v2.core.event_destinations.ping(destination.id)
        receiver.wait_for(3)
        assert [one.event["type"] for one in receiver.deliveries] == [
            ERRORS,
            ERRORS,
            "v2.core.event_destination.ping",
        ]
    core = v2.core
    assert [event.type for event in core.events.list({"types": [NO_METER]}).data] == [NO_METER]
    assert [event.type for event in core.events.list({"object_id": meter.id}).data] == [ERRORS, ERRORS]
    paged = list(core.events.list({"limit": 1}).auto_paging_iter())
    assert [event.type for event in paged] == ["v2.core.event_destination.ping", ERRORS, NO_METER, ERRORS]
    assert core.event_destinations.disable(destination.id).status == "disabled"
    assert core.event_destinations.retrieve(destination.id).webhook_endpoint.url is None
    core.event_destinations.delete(destination.id)
    assert core.event_destinations.list().data == []
    assert [event["type"] for event in fresh.events(type=ERRORS)] == []
    assert fresh.control("thin_events", {"type": ERRORS}, status=400)["error"]["message"].endswith("has none")
