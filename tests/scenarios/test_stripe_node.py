"""Stripe's client for Node is a client of the sandbox too: another encoder, another error mapping, the same outcome."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.sandbox.process import KEY, running

pytestmark = pytest.mark.scenario

FLOW = Path(__file__).with_name("stripe_node_flow.cjs")


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node on the path")
    return found


@pytest.fixture
def modules() -> str:
    found = os.environ.get("NSELF_STRIPE_NODE")
    if not found or not Path(found, "stripe").is_dir():
        pytest.skip("no stripe-node: npm install stripe, and name its node_modules in NSELF_STRIPE_NODE")
    return found


def test_the_main_flows_through_stripe_node(node: str, modules: str) -> None:
    with running() as sandbox:
        done = subprocess.run(
            [node, str(FLOW), sandbox.base.rpartition(":")[2], KEY],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"PATH": os.environ["PATH"], "NODE_PATH": modules},
        )
        assert done.returncode == 0, done.stderr
        types = [event["type"] for event in sandbox.events()]
    many = [f"many-{index}@example.com" for index in range(12)]
    assert json.loads(done.stdout) == {
        "status": "active",
        "invoice": "paid",
        "payments": 1,
        "replayed": True,
        "intent": "succeeded",
        "refund": ["succeeded", 500],
        "declined": {
            "kind": "StripeCardError",
            "code": "card_declined",
            "decline": "generic_decline",
            "status": 402,
        },
        "missing": {
            "kind": "StripeInvalidRequestError",
            "code": "resource_missing",
            "decline": None,
            "status": 404,
        },
        "unknown": {
            "kind": "StripeInvalidRequestError",
            "code": "parameter_unknown",
            "decline": None,
            "status": 400,
        },
        "emails": [*reversed(many), "node@example.com"],
        "event": "evt_1",
        "ended": "canceled",
    }
    assert types.count("customer.subscription.created") == 1
    assert types.count("payment_intent.succeeded") == 2
    assert types.count("payment_intent.payment_failed") == 1
    assert types.count("charge.refunded") == 1
