"""Our signature check agrees with the SDK's, and is stricter where the SDK is lax."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.stripe_gateway.signature import (
    MalformedHeaderError,
    NoMatchingSignatureError,
    NoSignatureError,
    TimestampOutsideToleranceError,
    sign_payload,
    verify_signature,
)

SECRET = "whsec_first"
OTHER = "whsec_second"
BODY = '{"id":"evt_1","object":"event","name":"Zoë"}'
NOW = 1_700_000_000

text_payloads = st.text(st.characters(codec="utf-8"), max_size=200)
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(payload=text_payloads, secret=secrets, timestamp=st.integers(1, 99_999_999_999))
def test_the_sdk_and_we_make_the_same_header(payload: str, secret: str, timestamp: int) -> None:
    theirs = stripe.WebhookSignature.generate_signature_header(payload, secret, timestamp)
    assert sign_payload(payload.encode(), secret, timestamp) == theirs
    assert verify_signature(payload.encode(), theirs, [secret], now=timestamp) == 0


@given(payload=text_payloads, secret=secrets, tampered=text_payloads)
def test_the_sdk_and_we_refuse_the_same_payloads(payload: str, secret: str, tampered: str) -> None:
    now = int(time.time())
    header = sign_payload(payload.encode(), secret, now)
    if payload == tampered:
        assert stripe.WebhookSignature.verify_header(tampered, header, secret, 300)
        assert verify_signature(tampered.encode(), header, [secret], now=now) == 0
        return
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(tampered, header, secret, 300)
    with pytest.raises(NoMatchingSignatureError):
        verify_signature(tampered.encode(), header, [secret], now=now)


def test_the_shape_is_the_documented_one() -> None:
    timestamp, signature = sign_payload(b"{}", SECRET, 1492774577).split(",")
    assert timestamp == "t=1492774577"
    assert signature.startswith("v1=")
    assert len(signature) == 3 + 64


@pytest.mark.parametrize("position", [0, 1])
def test_the_index_of_the_matching_secret_is_returned(position: int) -> None:
    configured = [SECRET, OTHER]
    header = sign_payload(BODY.encode(), configured[position], NOW)
    assert verify_signature(BODY.encode(), header, configured, now=NOW) == position


def test_any_of_several_v1_values_may_match() -> None:
    good = sign_payload(BODY.encode(), SECRET, NOW).split(",")[1]
    header = f"t={NOW},v1={'0' * 64},{good},v0=legacy"
    assert verify_signature(BODY.encode(), header, [SECRET], now=NOW) == 0


def test_only_the_v1_scheme_counts() -> None:
    header = sign_payload(BODY.encode(), SECRET, NOW).replace("v1=", "v0=")
    with pytest.raises(MalformedHeaderError, match="no v1="):
        verify_signature(BODY.encode(), header, [SECRET], now=NOW)


@pytest.mark.parametrize("skew", [300, -300, 0])
def test_the_tolerance_is_inclusive_on_both_sides(skew: int) -> None:
    header = sign_payload(BODY.encode(), SECRET, NOW)
    assert verify_signature(BODY.encode(), header, [SECRET], now=NOW + skew) == 0


@pytest.mark.parametrize("skew", [301, -301, 86_400, -86_400])
def test_past_and_future_outside_the_tolerance_are_refused(skew: int) -> None:
    header = sign_payload(BODY.encode(), SECRET, NOW)
    with pytest.raises(TimestampOutsideToleranceError) as refused:
        verify_signature(BODY.encode(), header, [SECRET], now=NOW + skew)
    assert refused.value.skew_seconds == skew


def test_an_old_forgery_is_reported_as_a_forgery() -> None:
    header = sign_payload(BODY.encode(), "whsec_thief", NOW - 86_400)
    with pytest.raises(NoMatchingSignatureError):
        verify_signature(BODY.encode(), header, [SECRET], now=NOW)


@pytest.mark.parametrize("header", [None, "", "   "])
def test_a_missing_header_is_its_own_error(header: str | None) -> None:
    with pytest.raises(NoSignatureError):
        verify_signature(BODY.encode(), header, [SECRET], now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        "t=,v1=aa",
        "t=abc,v1=aa",
        "t=-5,v1=aa",
        "t=\u0665,v1=aa",
        "t=1,t=2,v1=aa",
        "v1=aa",
        "t=1",
        "t=1,,v1=aa",
        f"t={'9' * 400},v1=aa",
    ],
)
def test_malformed_headers_are_refused(header: str) -> None:
    with pytest.raises(MalformedHeaderError):
        verify_signature(BODY.encode(), header, [SECRET], now=NOW)


@given(header=st.text(max_size=80), payload=st.binary(max_size=80))
def test_no_header_whatever_passes_or_crashes(header: str, payload: bytes) -> None:
    with pytest.raises((NoSignatureError, MalformedHeaderError, NoMatchingSignatureError)):
        verify_signature(payload, header, [SECRET], now=NOW)


def test_bytes_that_are_not_text_can_be_signed() -> None:
    payload = b"\xff\x00{"
    assert verify_signature(payload, sign_payload(payload, SECRET, NOW), [SECRET], now=NOW) == 0


def test_without_secrets_nothing_matches() -> None:
    with pytest.raises(NoMatchingSignatureError):
        verify_signature(BODY.encode(), sign_payload(BODY.encode(), SECRET, NOW), [], now=NOW)


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_secret_is_a_configuration_error(blank: str) -> None:
    with pytest.raises(ValueError, match="number 1 is blank"):
        verify_signature(BODY.encode(), sign_payload(BODY.encode(), blank, NOW), [SECRET, blank], now=NOW)


def test_the_module_does_not_load_the_sdk() -> None:
    code = "import sys, billing_worker.stripe_gateway.signature; sys.exit('stripe' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    assert done.returncode == 0
