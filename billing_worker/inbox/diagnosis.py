"""From what came back of a probe to what is wrong on its way: pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

SKEW_WORTH_A_WORD_SECONDS = 60
"""Stripe's signatures are valid for 300 s; a clock a minute off is on its way there."""

CURE_KEY = "nself billing webhook show-secret; nself env set STRIPE_WEBHOOK_SECRET=-; nself restart billing"
CURE_PROXY = "ask the receiver itself: nself billing webhook test-signature --url http://127.0.0.1:8080/webhooks/stripe"
CURE_CLOCK = "timedatectl"
CURE_DOWN = "nself billing status; nself start"


@dataclass(frozen=True, slots=True)
class Sent:
    """A probe as it left us.

    Units: `at` in unix seconds.
    """

    body: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back; `location` of a redirect, `body` as bytes of anybody's making."""

    status: int
    body: bytes
    location: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One cause, in a word for programs and in a sentence for people, and the command that mends it."""

    cause: str
    message: str
    cure: str = ""

    @property
    def is_good(self) -> bool:
        """Say whether a delivery of Stripe's signed in this way would be stored."""
        return self.cause in {"ok", "clock_drifts"}


_BY_REASON: Mapping[str, tuple[str, str, str]] = {
    "no_signature": ("header_removed", "a proxy removed the Stripe-Signature header", CURE_PROXY),
    "malformed_header": ("header_altered", "a proxy altered the Stripe-Signature header", CURE_PROXY),
    "body_incomplete": ("body_altered", "the body was cut short on its way", CURE_PROXY),
    "body_too_slow": ("body_delayed", "the body came too slowly: a proxy passes it on in trickles", CURE_PROXY),
    "body_too_large": ("body_altered", "the body grew on its way", CURE_PROXY),
    "address_not_allowed": (
        "address_not_allowed",
        "STRIPE_ENABLE_IP_WHITELIST lets Stripe's addresses in, and this machine's is none of them",
        "nself billing webhook addresses; nself env get BILLING_TRUSTED_HOPS",
    ),
}

_BY_STATUS: Mapping[int, tuple[str, str, str]] = {
    400: ("refused_by_proxy", "something before the receiver finds it a bad request", CURE_PROXY),
    401: ("refused_by_proxy", "a proxy asks for a password, which Stripe does not have", CURE_PROXY),
    403: ("refused_by_proxy", "a proxy or firewall refused it, the receiver did not see it", CURE_PROXY),
    404: ("wrong_path", "nothing listens at this address: the receiver's is /webhooks/stripe", ""),
    405: ("wrong_path", "this address takes no deliveries: the receiver's is /webhooks/stripe", ""),
    413: ("refused_by_proxy", "a proxy finds the body too large: allow it 1 MB", ""),
    429: ("refused_by_proxy", "it was refused too often within a minute: try again in one", ""),
    502: ("receiver_down", "a proxy answers, the receiver behind it does not", CURE_DOWN),
    503: ("not_storing", "the receiver cannot store now", "nself billing health --component database"),
    504: ("receiver_down", "a proxy answers, the receiver behind it does not answer in time", CURE_DOWN),
}


def diagnose(sent: Sent, answered: Answered) -> Diagnosis:
    """Name what happened to a probe."""
    told = _read(answered.body)
    if told.get("outcome") == "probe":
        return _judge_clock(_skew(sent, told))
    return _diagnose_reason(sent, told) or _diagnose_status(answered)


def _diagnose_reason(sent: Sent, told: Mapping[str, Any]) -> Diagnosis | None:
    reason = told.get("reason")
    if reason == "timestamp_outside_tolerance":
        skew = _skew(sent, told)
        direction = "ahead of" if skew > 0 else "behind"
        return Diagnosis("clock_skew", f"the receiver's clock is {abs(skew)} s {direction} ours", CURE_CLOCK)
    if reason == "no_matching_signature":
        return _tell_secret_from_body(sent, told)
    return Diagnosis(*_BY_REASON[reason]) if isinstance(reason, str) and reason in _BY_REASON else None


def _diagnose_status(answered: Answered) -> Diagnosis:
    if answered.location:
        return Diagnosis(
            "redirected",
            f"it is redirected to {answered.location[:200]}, and Stripe follows no redirects",
            f"nself billing webhook update-url {answered.location[:200]}",
        )
    if answered.status in _BY_STATUS:
        return Diagnosis(*_BY_STATUS[answered.status])
    return Diagnosis(
        "another_server", f"what answers {answered.status} here is not the receiver of this release", CURE_PROXY
    )


def _judge_clock(skew: int) -> Diagnosis:
    if abs(skew) > SKEW_WORTH_A_WORD_SECONDS:
        return Diagnosis("clock_drifts", f"accepted, but the receiver's clock is {skew:+d} s from ours", CURE_CLOCK)
    return Diagnosis("ok", "accepted")


def _tell_secret_from_body(sent: Sent, told: Mapping[str, Any]) -> Diagnosis:
    digest = told.get("body_sha256")
    if digest == sha256(sent.body).hexdigest():
        return Diagnosis("wrong_secret", "the body arrived whole: the receiver has another secret", CURE_KEY)
    if digest is None:
        return Diagnosis(
            "wrong_secret_or_body", "another secret, or a proxy that alters bodies and drops headers", CURE_PROXY
        )
    return Diagnosis(
        "body_altered",
        f"a proxy altered the body: {len(sent.body)} bytes left, {told.get('bytes')} arrived; "
        "it must pass on the bytes as they are",
        CURE_PROXY,
    )


def _skew(sent: Sent, told: Mapping[str, Any]) -> int:
    theirs = told.get("receiver_time")
    return theirs - sent.at if isinstance(theirs, int) else 0


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
