"""Which sources count, by part: a sandbox's address must never reach a production installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.embedded import MixedInstallationError, merge_environment, resolve_parts
from billing_worker.runtime.sources import read_sources

STACK = {
    "DATABASE_URL": "postgresql://billing:x@127.0.0.1:5/billing",
    "REDIS_URL": "redis://:x@127.0.0.1:6/0",
    "STRIPE_SECRET_KEY": "sk_test_generated",
    "STRIPE_WEBHOOK_SECRET": "whsec_generated",
    "STRIPE_API_BASE": "http://127.0.0.1:12111",
    "STRIPE_MOCK_ENABLED": "true",
    "BILLING_COLLECTOR": "nself",
    "FLOWER_PORT": "5555",
}
PRODUCTION = {
    "DATABASE_URL": "postgresql://billing@db/billing",
    "REDIS_URL": "redis://cache/0",
    "STRIPE_SECRET_KEY": "sk_live_real",
}


def test_nothing_given_means_everything_embedded() -> None:
    parts = resolve_parts({}, STACK)

    assert parts.embedded == {"postgres", "redis", "stripe"}
    parts.refuse_mix()
    assert merge_environment({}, {}, STACK) == {**STACK, "NSELF_EMBEDDED": "postgres,redis,stripe"}


def test_an_external_installation_takes_nothing_of_a_former_stack_but_ports() -> None:
    merged = merge_environment(PRODUCTION, {}, STACK)

    assert merged == {**PRODUCTION, "FLOWER_PORT": "5555"}


@pytest.mark.parametrize("given", ["DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY"])
def test_a_mix_is_refused_and_names_the_missing_parts(given: str) -> None:
    parts = resolve_parts({given: PRODUCTION[given]}, STACK)

    with pytest.raises(MixedInstallationError) as refusal:
        parts.refuse_mix()
    for name in PRODUCTION.keys() - {given}:
        assert name in str(refusal.value)
    assert merge_environment({given: PRODUCTION[given]}, {}, STACK).keys() & PRODUCTION.keys() == {given}


def test_a_mix_is_allowed_where_its_embedded_parts_are_named() -> None:
    given = {"STRIPE_SECRET_KEY": "sk_test_own", "NSELF_EMBEDDED": "postgres,redis"}
    parts = resolve_parts(given, STACK)
    parts.refuse_mix()

    merged = merge_environment(given, {}, STACK)

    assert merged["DATABASE_URL"] == STACK["DATABASE_URL"]
    assert merged["STRIPE_SECRET_KEY"] == "sk_test_own"
    assert merged.keys().isdisjoint({"STRIPE_API_BASE", "STRIPE_MOCK_ENABLED", "STRIPE_WEBHOOK_SECRET"})


def test_the_sandbox_named_keeps_the_operators_key_and_decides_the_address() -> None:
    given = {"STRIPE_SECRET_KEY": "sk_test_own", "STRIPE_MOCK_ENABLED": "true", "STRIPE_API_BASE": "http://x:1"}

    merged = merge_environment({}, given, STACK)

    assert merged["STRIPE_SECRET_KEY"] == "sk_test_own"
    assert merged["STRIPE_API_BASE"] == STACK["STRIPE_API_BASE"]
    assert merged["DATABASE_URL"] == STACK["DATABASE_URL"]


def test_embedded_by_name_wins_over_a_stray_database_url() -> None:
    merged = merge_environment({"NSELF_EMBEDDED": "1", "DATABASE_URL": "postgresql://other/db"}, {}, STACK)

    assert merged["DATABASE_URL"] == STACK["DATABASE_URL"]


def test_a_child_that_inherits_the_merged_values_resolves_the_same() -> None:
    merged = merge_environment({}, {}, STACK)

    assert merge_environment(merged, {}, STACK) == merged


def test_an_unknown_part_is_an_invalid_value() -> None:
    with pytest.raises(InvalidValueError, match="kafka"):
        resolve_parts({"NSELF_EMBEDDED": "kafka"}, {})


def test_files_are_found_through_the_process_environment(tmp_path: Path) -> None:
    env_file, home = tmp_path / "env", tmp_path / "home"
    home.mkdir()
    env_file.write_text(f"NSELF_HOME={home}\nAPI_TIMEOUT='60s'\nMAIL_FROM=\n")
    (home / "stack.env").write_text("FLOWER_PORT=5556\n")

    sources = read_sources({"NSELF_ENV_FILE": str(env_file), "PATH": "/bin"})

    assert sources.home == home
    assert sources.given.keys() == {"NSELF_HOME", "API_TIMEOUT", "PATH", "NSELF_ENV_FILE"}
    assert sources.merged["FLOWER_PORT"] == "5556"
