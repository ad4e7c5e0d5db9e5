"""Store a snapshot that we took ourselves, so that it reaches the mirror through its lane like everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, cast

from psycopg2.extensions import connection as psycopg2_connection
from sqlalchemy.orm import Session

from billing_worker.inbox.intake import Delivery
from billing_worker.inbox.services.store_deliveries import EventKey, StoredDelivery, store_deliveries
from billing_worker.inbox.states import SNAPSHOT_TYPE, Source
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.kernel.keys import lane_of
from billing_worker.mirror.keys import key_of_object


def ingest_snapshot(
    session: Session,
    *,
    account_id: str,
    obj: Mapping[str, Any],
    source: Source,
    observed_at: datetime,
    now: datetime,
) -> StoredDelivery:
    """Write one snapshot into the inbox within the caller's transaction.

    Units: `observed_at` is the version it may claim: Stripe's clock at the start of the request minus one second.
    Idempotent by: object, `observed_at` and content; the same snapshot taken twice is one row.
    Raises: InvalidValueError for something that is no Stripe object.
    """
    found = key_of_object(obj, account_id=account_id)
    if found is None:
        raise InvalidValueError("this is no Stripe object: it has no `object` key")
    content = json.dumps(obj, separators=(",", ":"), sort_keys=True)
    digest = sha256(content.encode()).hexdigest()[:16]
    body = json.dumps({"object": "event", "type": SNAPSHOT_TYPE, "data": {"object": obj}}, separators=(",", ":"))
    delivery = Delivery(
        event_id=f"snap_{found.object_id}_{int(observed_at.timestamp())}_{digest}"[:255],
        body=body.encode(),
        account_id=account_id,
        type=SNAPSHOT_TYPE,
        source=source,
        object_type=found.object_type,
        object_id=found.object_id,
        object_key=found.object_key,
        customer_id=found.customer_id,
        lane=lane_of(found.object_key),
        created=observed_at,
        observed_at=observed_at,
    )
    driver = cast("psycopg2_connection", session.connection().connection.driver_connection)
    with driver.cursor() as cursor:
        stored = store_deliveries(cursor, [delivery], now=now)
    return stored[EventKey(account_id, delivery.event_id)]
