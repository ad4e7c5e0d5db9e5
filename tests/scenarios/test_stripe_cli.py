"""The official Stripe CLI is a client of the sandbox: its built-in triggers reach the events that they promise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.sandbox.process import KEY, Sandbox, running

pytestmark = pytest.mark.scenario

OUT_OF_REACH = {
    "v1.billing.meter.error_report_triggered": "the CLI sends it to meter-events.stripe.com, whatever --api-base says",
    "v1.billing.meter.no_meter_found": "the CLI sends it to meter-events.stripe.com, whatever --api-base says",
}
"""Triggers that cannot work against any other server, and why."""
OTHER_NAMES = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}
"""Triggers named after a situation; what happens in it is this event."""
ENOUGH = 90
_LATER_SECONDS = 300
"""Bank debits are answered after three minutes."""


@pytest.fixture(scope="module")
def binary() -> str:
    found = os.environ.get("NSELF_STRIPE_CLI") or shutil.which("stripe")
    if not found:
        pytest.skip("no Stripe CLI: npm install @stripe/cli, and name its binary in NSELF_STRIPE_CLI")
    return found


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = str(tmp_path_factory.mktemp("stripe-cli"))
    path = os.environ.get("PATH", "")
    return {"HOME": home, "XDG_CONFIG_HOME": home, "PATH": path, "STRIPE_CLI_TELEMETRY_OPTOUT": "true"}


@pytest.fixture(scope="module")
def triggers(binary: str, environment: dict[str, str]) -> list[str]:
    """Every built-in trigger but those of card issuing, which has no place in billing."""
    shown = subprocess.run(
        [binary, "trigger", "--help"], capture_output=True, text=True, check=True, timeout=60, env=environment
    ).stdout
    listed = re.findall(r"^  ([a-z0-9_]+(?:\.[a-z0-9_]+)+)$", shown.partition("Usage:")[0], re.MULTILINE)
    return [name for name in listed if not name.startswith("issuing")]


def newest(sandbox: Sandbox, event_type: str) -> str | None:
    found = sandbox.raw("GET", "/v1/events", params={"type": event_type, "limit": 1}).json()["data"]
    return found[0]["id"] if found else None


def refusal(sandbox: Sandbox, binary: str, trigger: str, environment: dict[str, str]) -> str | None:
    """Run a trigger; tell what went wrong."""
    wanted = OTHER_NAMES.get(trigger, trigger)
    before = newest(sandbox, wanted)
    done = subprocess.run(
        [binary, "trigger", trigger, "--api-base", sandbox.base, "--api-key", KEY],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    if done.returncode != 0:
        return (done.stdout + done.stderr).strip().splitlines()[-1]
    sandbox.advance(seconds=_LATER_SECONDS)
    sandbox.control("test_clocks/wait", {"timeout_seconds": 60})
    return None if newest(sandbox, wanted) != before else "it ended well, but its event never came"


def test_the_triggers_reach_their_events(
    sandbox: Sandbox, binary: str, triggers: list[str], environment: dict[str, str]
) -> None:
    assert len(triggers) > ENOUGH
    outcomes = {trigger: refusal(sandbox, binary, trigger, environment) for trigger in triggers}
    failed = {trigger: why for trigger, why in outcomes.items() if why is not None}
    assert failed.keys() == OUT_OF_REACH.keys(), failed
    assert len(triggers) - len(failed) >= ENOUGH
    assert [line for line in sandbox.log if "Traceback" in line or " 500 " in line] == []
