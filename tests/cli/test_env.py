"""`nself env` and `nself cache` as an operator runs them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import redis

from billing_worker.stack.ephemeral import EphemeralServers
from tests.cli.nself import Nself, WarmNself


@pytest.fixture
def nself(tmp_path: Path) -> Nself:
    return WarmNself(tmp_path)


def written(nself: Nself) -> str:
    path = nself.folder / ".env"
    return path.read_text() if path.exists() else ""


def trail(nself: Nself) -> list[dict[str, object]]:
    path = nself.home / "logs" / "operator.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_setting_is_written_shown_and_left_in_the_trail(nself: Nself) -> None:
    result = nself("env", "set", "STRIPE_MAX_RETRIES=3", "BILLING_TIMEZONE=Europe/Berlin")

    assert (result.returncode, result.stdout) == (0, "")
    assert written(nself) == "STRIPE_MAX_RETRIES='3'\nBILLING_TIMEZONE='Europe/Berlin'\n"
    assert stat.S_IMODE((nself.folder / ".env").stat().st_mode) == 0o600
    shown = nself("env", "get", "STRIPE_MAX_RETRIES")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "3\n", "(env file)\n")
    [line] = trail(nself)
    assert (line["command"], line["arguments"]) == ("env set", ["STRIPE_MAX_RETRIES=***", "BILLING_TIMEZONE=***"])


def test_a_secret_in_the_command_line_is_taken_with_a_warning_and_masked_when_shown(nself: Nself) -> None:
    result = nself("env", "set", "STRIPE_SECRET_KEY=sk_test_PLACEHOLDER_new_key", "STRIPE_MOCK_ENABLED=true")

    assert result.returncode == 0
    assert "shell's history" in result.stderr
    assert "PLACEHOLDER" not in result.stderr
    masked = nself("env", "get", "STRIPE_SECRET_KEY")
    assert masked.stdout == "sk_test_***\n"
    assert nself("env", "get", "STRIPE_SECRET_KEY", "--reveal").stdout == "sk_test_PLACEHOLDER_new_key\n"
    assert "PLACEHOLDER" not in (nself.home / "logs" / "operator.log").read_text()


def test_a_secret_from_standard_input_leaves_no_warning(nself: Nself) -> None:
    result = nself("env", "set", "STRIPE_WEBHOOK_SECRET=-", stdin="whsec_fromstdin\n")

    assert result.returncode == 0
    assert "history" not in result.stderr
    assert written(nself) == "STRIPE_WEBHOOK_SECRET='whsec_fromstdin'\n"


@pytest.mark.parametrize(
    ("assignment", "code", "message"),
    [
        ("STRIPE_MAX_RETRIES=many", 2, "STRIPE_MAX_RETRIES"),
        ("API_TIMEOUT=soon", 2, "for example 30s"),
        ("BILLING_CACHE_ENABLED=true", 5, "no effect in this release"),
        ("STRIPE_SECRET_KEY=sk_test_with blank", 2, "white space"),
        ("STRIPE_SECRET_KEY=sk_live_NEW_KEY", 3, "STRIPE_MODE=live"),
        ("WEBHOOK_USE_QUEUE=false", 3, "cannot be turned off"),
        ("JUST_A_NAME", 2, "STRIPE_MAX_RETRIES=3"),
    ],
)
def test_what_cannot_work_is_not_written(nself: Nself, assignment: str, code: int, message: str) -> None:
    result = nself("env", "set", "API_TIMEOUT=60s", assignment)

    assert (result.returncode, result.stdout, written(nself)) == (code, "", "")
    assert message in result.stderr
    assert "NEW_KEY" not in result.stderr
    assert trail(nself) == []


def test_a_mix_is_written_with_a_word_about_the_next_start(nself: Nself) -> None:
    result = nself("env", "set", "STRIPE_SECRET_KEY=sk_test_own")

    assert result.returncode == 0
    assert "NSELF_EMBEDDED=postgres,redis" in result.stderr


def test_a_value_for_programs_has_its_source(nself: Nself) -> None:
    result = nself("env", "get", "BILLING_TIMEZONE", "--json")

    assert json.loads(result.stdout) == {"name": "BILLING_TIMEZONE", "value": "UTC", "source": "default"}


def test_an_unknown_setting_is_not_found(nself: Nself) -> None:
    result = nself("env", "get", "NO_SUCH_SETTING")

    assert (result.returncode, result.stdout) == (4, "")


@pytest.fixture
def caches(servers: EphemeralServers) -> redis.Redis:
    client = redis.Redis.from_url(f"{servers.redis_url.rpartition('/')[0]}/15", decode_responses=True)
    client.flushdb()
    client.mset({"billing:quota:user123": "1", "billing:quota:user124": "1", "nself:lease": "1", "webhooks.0": "1"})
    return client


def test_caches_are_cleared_by_pattern_and_nothing_else(
    nself: Nself, servers: EphemeralServers, caches: redis.Redis
) -> None:
    url = f"{servers.redis_url.rpartition('/')[0]}/15"

    dry = nself("cache", "clear", "billing:quota:*", "--dry-run", "--json", REDIS_URL=url)
    assert json.loads(dry.stdout) == {"pattern": "billing:quota:*", "matched": 2, "deleted": 0}
    expired = nself("cache", "clear", "billing:*", "--ttl-expired", "--json", REDIS_URL=url)
    assert json.loads(expired.stdout) == {"pattern": "billing:*", "matched": 2, "deleted": 0}
    one = nself("cache", "clear", "billing:quota:user123", "--json", REDIS_URL=url)
    assert json.loads(one.stdout) == {"pattern": "billing:quota:user123", "matched": 1, "deleted": 1}

    assert sorted(caches.keys()) == ["billing:quota:user124", "nself:lease", "webhooks.0"]
    caches.close()


@pytest.mark.parametrize("pattern", ["*", "nself:*", "billing*", "?illing:*", "billing:"])
def test_a_pattern_that_reaches_beyond_caches_is_refused(
    nself: Nself, servers: EphemeralServers, caches: redis.Redis, pattern: str
) -> None:
    result = nself("cache", "clear", pattern, REDIS_URL=f"{servers.redis_url.rpartition('/')[0]}/15")

    assert result.returncode == 3
    assert caches.dbsize() == 4
    caches.close()


def test_a_redis_that_is_away_is_unavailable_and_no_bug(nself: Nself) -> None:
    result = nself("cache", "clear", "billing:*", REDIS_URL="redis://127.0.0.1:1/0")

    assert result.returncode == 5
    assert result.stderr.startswith("Redis does not answer: ")
