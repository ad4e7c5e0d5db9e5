"""The env file: what is written, what is refused, what is shown."""

from __future__ import annotations

import os
import stat
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.kernel.errors import InvalidValueError, RefusedError
from billing_worker.stack.env_file import UnknownSettingError, _replaced, get_value, set_values


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"NSELF_ENV_FILE": str(tmp_path / ".env"), "NSELF_HOME": str(tmp_path / "home")}


def written(env: dict[str, str]) -> dict[str, str | None]:
    return dotenv_values(env["NSELF_ENV_FILE"])


def test_a_value_is_written_for_the_owner_only_and_everything_else_kept(env: dict[str, str]) -> None:
    path = Path(env["NSELF_ENV_FILE"])
    path.write_text("# mine\nexport API_TIMEOUT=30s # read\n\nMAIL_FROM=a@b.c\nAPI_TIMEOUT=31s\n")
    path.chmod(0o644)

    set_values(env, {"API_TIMEOUT": "60s", "STRIPE_MAX_RETRIES": "3"})

    assert path.read_text() == "# mine\nAPI_TIMEOUT='60s'\n\nMAIL_FROM=a@b.c\nSTRIPE_MAX_RETRIES='3'\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@given(
    values=st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029\x85"), max_size=30),
        max_size=4,
    ),
    before=st.sampled_from(["", "A=1", "A=1\n", "# c\nA='x\\'y'\nB=\"q\"\n", "broken line\nA=2\n"]),
)
def test_every_value_reads_back_as_written(values: dict[str, str], before: str) -> None:
    read = dotenv_values(stream=StringIO(_replaced(before, values)), interpolate=False)

    assert {name: read[name] for name in values} == values


def test_a_failed_write_leaves_the_old_file(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    set_values(env, {"API_TIMEOUT": "60s"})

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        set_values(env, {"API_TIMEOUT": "70s"})

    assert written(env) == {"API_TIMEOUT": "60s"}
    assert len(list(Path(env["NSELF_ENV_FILE"]).parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("STRIPE_MAX_RETRIES", "many", InvalidValueError, "STRIPE_MAX_RETRIES"),
        ("BILLING_SYNC_INTERVAL", "5 minutes", InvalidValueError, "for example 30s"),
        ("STRIPE_SECRET_KEY", "sk_test_a b", InvalidValueError, "white space"),
        ("STRIPE_SECRET_KEY", "sk_live_abc", RefusedError, "live key"),
        ("WEBHOOK_USE_LOCKS", "false", RefusedError, "cannot be turned off"),
        ("stripe_max_retries", "3", InvalidValueError, "name"),
        ("MAIL_FROM", "a\nSTRIPE_MODE=live", InvalidValueError, "several lines"),
    ],
)
def test_a_value_that_cannot_work_is_not_written(
    env: dict[str, str], name: str, value: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        set_values(env, {name: value})

    assert not Path(env["NSELF_ENV_FILE"]).exists()


def test_a_refused_secret_is_not_repeated_in_the_message(env: dict[str, str]) -> None:
    with pytest.raises(RefusedError) as refusal:
        set_values(env, {"STRIPE_SECRET_KEY": "sk_live_verysecret"})

    assert "verysecret" not in str(refusal.value)


def test_key_and_mode_change_together(env: dict[str, str]) -> None:
    set_values(env, {"STRIPE_MODE": "live", "STRIPE_SECRET_KEY": "sk_live_abc"})

    assert written(env) == {"STRIPE_MODE": "live", "STRIPE_SECRET_KEY": "sk_live_abc"}


def test_what_another_line_breaks_does_not_forbid_a_right_value(env: dict[str, str]) -> None:
    Path(env["NSELF_ENV_FILE"]).write_text("STRIPE_MAX_RETRIES=many\n")

    set_values(env, {"API_TIMEOUT": "60s"})

    assert written(env) == {"STRIPE_MAX_RETRIES": "many", "API_TIMEOUT": "60s"}


def test_remarks_tell_what_will_not_have_the_wanted_effect(env: dict[str, str]) -> None:
    assert set_values(env, {"HTTP_PROXY": "http://proxy:8080"}) == ()
    [node] = set_values(env, {"NODE_OPTIONS": "--max-old-space-size=3072"})
    assert "BILLING_MEMORY_LIMIT" in node
    [shadowed] = set_values({**env, "API_TIMEOUT": "9s"}, {"API_TIMEOUT": "60s"})
    assert "wins" in shadowed
    [mix] = set_values(env, {"STRIPE_SECRET_KEY": "sk_test_abc"})
    assert "NSELF_EMBEDDED=postgres,redis" in mix


def test_values_are_shown_with_their_source_and_secrets_masked(env: dict[str, str]) -> None:
    set_values(env, {"STRIPE_SECRET_KEY": "sk_test_abcdef", "BILLING_AUTO_SYNC": "true"})

    key = get_value(env, "STRIPE_SECRET_KEY")
    assert (key.masked, key.value, key.source) == ("sk_test_***", "sk_test_abcdef", "env file")
    assert get_value(env, "BILLING_AUTO_SYNC").masked == "true"
    default = get_value(env, "BILLING_TIMEZONE")
    assert (default.masked, default.source) == ("UTC", "default")
    assert get_value({**env, "DATABASE_URL": "postgresql://u:p@h/d"}, "DATABASE_URL").masked == "***"
    with pytest.raises(UnknownSettingError, match="NO_SUCH"):
        get_value(env, "NO_SUCH")
