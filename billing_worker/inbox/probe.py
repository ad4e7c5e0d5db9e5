"""The probe of `webhook test-signature`: a signed body that the receiver answers and never stores."""

from __future__ import annotations

import json
import secrets

from billing_worker.inbox.intake import Delivery

PROBE_TYPE = "nself.probe"
"""No event of Stripe's is called so; whoever can sign it holds a secret and could do worse."""

DIGEST_HEADER = "Nself-Probe"
"""Asks the receiver to tell the digest of the bytes that reached it."""


def make_probe(created: int, *, livemode: bool) -> bytes:
    """Write a probe that no other probe equals, in the layout of Stripe's bodies, so that a proxy treats it alike.

    Units: `created` in unix seconds.
    """
    probe_id = f"evt_probe_{secrets.token_hex(8)}"
    event = {
        "id": probe_id,
        "object": "event",
        "created": created,
        "livemode": livemode,
        "type": PROBE_TYPE,
        "data": {"object": {"id": probe_id, "object": PROBE_TYPE, "note": "a  b\té\n"}},
    }
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def is_probe(delivery: Delivery) -> bool:
    """Say whether a verified delivery is a probe."""
    return delivery.type == PROBE_TYPE
