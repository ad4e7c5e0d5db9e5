"""Send a signed probe to a receiver and say what became of it."""

from __future__ import annotations

import time

import requests

from billing_worker.inbox.diagnosis import CURE_DOWN, Answered, Diagnosis, Sent, diagnose
from billing_worker.inbox.probe import DIGEST_HEADER, make_probe
from billing_worker.stripe_gateway.signature import sign_payload

TIMEOUT_SECONDS = 15
"""Beyond the receiver's own patience with a slow body."""

SIGNED_BY_STRIPE = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
"""What Stripe calls itself: a firewall that refuses it refuses the probe too."""


def probe_receiver(url: str, secret: str, *, livemode: bool, clock_seconds: int | None = None) -> Diagnosis:
    """Make one round trip through whatever stands before the receiver; nothing is stored.

    Units: `clock_seconds` is wall time, which signatures carry; None reads this machine's clock.
    """
    now = int(time.time()) if clock_seconds is None else clock_seconds
    sent = Sent(make_probe(now, livemode=livemode), now)
    headers = {
        "Stripe-Signature": sign_payload(sent.body, secret, now),
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": SIGNED_BY_STRIPE,
        DIGEST_HEADER: "1",
    }
    try:
        with requests.Session() as session:
            session.trust_env = False  # Stripe does not come through this machine's outgoing proxy
            answer = session.post(url, data=sent.body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.exceptions.Timeout:
        return Diagnosis("no_answer", f"no answer within {TIMEOUT_SECONDS} s", CURE_DOWN)
    except requests.exceptions.SSLError as error:
        return Diagnosis("bad_certificate", f"the certificate cannot be verified, by Stripe neither: {error}"[:300])
    except requests.exceptions.RequestException as error:
        return Diagnosis("receiver_down", f"nothing answers at {url} ({type(error).__name__})", CURE_DOWN)
    return diagnose(sent, Answered(answer.status_code, answer.content, answer.headers.get("Location", "")))
