"""The command tree: every command of the guide is known, lazily loaded, and every error has its exit code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from billing_worker.cli._durations import DURATION, INSTANT
from billing_worker.cli._errors import DifferencesFound, run_command
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._planned import PLANNED, PlannedCommand
from billing_worker.cli._tree import NounGroup, load_command
from billing_worker.kernel.errors import (
    InvalidValueError,
    NotFoundError,
    RefusedError,
    RetryableError,
    TerminalError,
    UnavailableError,
)
from tests.cli.nself import CHECKOUT, Nself, WarmNself

GUIDE = Path(__file__).with_name("guide_commands.txt").read_text(encoding="utf-8").splitlines()
HEAVY = ("celery", "kombu", "stripe", "sqlalchemy", "flask", "pydantic", "redis", "psycopg2", "rich", "requests")
NOT_A_VALUE = {"EXPOSURE_TIME", "1.5", "10.00", "./out/affected-customers.csv"}
"""Words of the guide that the reader is to replace, files an earlier command writes, and what it shows as wrong."""

WALK = """
import json, sys
import click
from billing_worker.cli._tree import NounGroup

def walk(command, context, seen):
    command.get_help(context)
    seen.append(context.command_path)
    if isinstance(command, NounGroup):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            walk(child, click.Context(child, info_name=name, parent=context), seen)
    return seen

root = NounGroup(())
paths = walk(root, click.Context(root, info_name="nself"), [])
print(json.dumps({"paths": paths, "modules": sorted(sys.modules)}))
"""


def words_of(line: str) -> list[str]:
    """Split as a shell does, up to a pipe or redirection, substitutions filled in."""
    filled = re.sub(r"\$\([^)]*\)", "1767225600", line)
    words = shlex.split(filled)
    cut = [number for number, word in enumerate(words) if word in {"|", ">"}]
    return words[1 : cut[0] if cut else None]


def resolve(words: list[str]) -> click.Command:
    """Parse a command line down to the command that would run."""
    command: click.Command = NounGroup(())
    context, name, rest = None, "nself", words
    while True:
        context = command.make_context(name, list(rest), parent=context)
        command = context.command
        if not isinstance(command, NounGroup):
            return command
        found, child, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert child is not None
        command, name = child, str(found)


def real_paths(folder: Path, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for path in sorted(folder.iterdir()):
        name = (*words, path.stem.replace("_", "-"))
        if (path / "__init__.py").exists():
            if (path / "_self.py").exists():
                yield name
            yield from real_paths(path, name)
        elif path.suffix == ".py" and not path.name.startswith("_") and name != ("main",):
            yield name


REAL = tuple(real_paths(CHECKOUT / "billing_worker" / "cli"))


@pytest.mark.parametrize("line", GUIDE)
def test_every_command_of_the_guide_is_done_or_refused_with_its_reason(line: str) -> None:
    try:
        command = resolve(words_of(line))
    except click.MissingParameter:
        return  # the guide's overview names commands without their arguments
    except click.BadParameter:
        assert NOT_A_VALUE & set(shlex.split(line))
        return
    assert command.callback is not None


def test_no_help_loads_what_is_slow_to_load() -> None:
    walked = json.loads(
        subprocess.run([sys.executable, "-c", WALK], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    )

    assert [name for name in HEAVY if name in walked["modules"]] == []
    assert {" ".join(("nself", *path)) for path in REAL} <= set(walked["paths"])


@pytest.mark.parametrize("path", REAL, ids=" ".join)
def test_a_commands_file_says_what_it_does(path: tuple[str, ...]) -> None:
    command = load_command(path)
    own = command.own if isinstance(command, NounGroup) else command

    assert own is not None
    assert own.help
    assert len(own.help.partition("\n")[0]) <= 120


def test_nothing_is_planned_that_exists() -> None:
    done = [" ".join(path) for path in REAL if path in PLANNED]

    assert done == [], "delete these lines from billing_worker/cli/_planned.py"


@pytest.mark.parametrize("path", PLANNED, ids=" ".join)
def test_a_planned_command_takes_anything_and_says_what_serves_today(path: tuple[str, ...], tmp_path: Path) -> None:
    told: list[str] = []

    with pytest.raises(UnavailableError) as refusal:
        PlannedCommand(path).main(["id_1", "--any", "thing", "--flag"], prog_name="x", standalone_mode=False)
    told.append(str(refusal.value))

    assert told[0].startswith(f"`nself {' '.join(path)}` is not in this release. It will ")
    assert "Until then: " in told[0]
    assert list(tmp_path.iterdir()) == []


def test_a_verb_and_the_noun_itself_are_told_apart() -> None:
    assert resolve(["billing", "metrics", "--show-percentiles"]).name == "metrics"
    assert resolve(["billing", "metrics", "requests", "--last", "1h"]).name == "requests"
    assert resolve(["billing", "reconcile", "--batch-size", "100"]).name == "reconcile"


def test_an_unknown_command_is_usage_and_names_the_nearest(tmp_path: Path) -> None:
    result = WarmNself(tmp_path)("billing", "webhok", "status")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "no such command 'webhok'; for example: webhook; see `nself billing --help`\n"


def test_a_planned_command_exits_with_five(tmp_path: Path) -> None:
    result = WarmNself(tmp_path)("maintenance", "on", "--message", "Billing system under maintenance")

    assert (result.returncode, result.stdout) == (5, "")
    assert "nself stop billing" in result.stderr


def test_the_overview_lists_nouns_with_their_first_lines(tmp_path: Path) -> None:
    result = Nself(tmp_path)("--help")

    assert result.returncode == 0
    assert re.search(r"^  status +Show which services run\.$", result.stdout, re.MULTILINE)
    assert re.search(r"^  maintenance +\(not in this release\)$", result.stdout, re.MULTILINE)


def test_exec_is_refused_where_there_is_no_container(tmp_path: Path) -> None:
    result = WarmNself(tmp_path)("exec", "nginx", "nginx", "-s", "reload")

    assert result.returncode == 5
    assert "no nginx runs here" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidValueError("x"), 2),
        (click.UsageError("x"), 2),
        (RefusedError("x"), 3),
        (NotFoundError("x"), 4),
        (UnavailableError("x"), 5),
        (RetryableError("x"), 5),
        (DifferencesFound("x"), 1),
        (TerminalError("x"), 1),
        (click.Abort(), 130),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_every_family_of_errors_has_its_exit_code(error: Exception, code: int, tmp_path: Path) -> None:
    assert run_failing(error, tmp_path) == code


def test_a_bug_shows_an_id_and_its_traceback_goes_masked_to_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()

    run_failing(ZeroDivisionError("while using sk_test_abcdefgh"), tmp_path)

    told = capsys.readouterr()
    [line] = (tmp_path / "logs" / "cli.log").read_text().splitlines()
    logged = json.loads(line)
    assert (told.out, told.err) == (
        "",
        f"internal error, id {logged['id']}; its details are in {tmp_path / 'logs' / 'cli.log'}\n",
    )
    assert "ZeroDivisionError" in logged["traceback"]
    assert "abcdefgh" not in line


def run_failing(error: Exception, home: Path) -> int:
    @click.command()
    def failing() -> None:
        raise error

    environ = {"NSELF_HOME": str(home), "NSELF_ENV_FILE": str(home / ".env")}
    return run_command(failing, [], program="nself", invocation=Invocation(environ=environ))


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("24h", 86400), ("7d", 604800), ("5ms", 0.005)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None).total_seconds() == seconds


@pytest.mark.parametrize("text", ["5", "", "h", "5 hours", "-5m", "1e3s", "9" * 30 + "d"])
def test_a_wrong_duration_is_answered_with_a_right_one(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"write for example"):
        DURATION.convert(text, None, None)


def test_instants_are_aware_and_wrong_ones_answered_with_right_ones() -> None:
    assert INSTANT.convert("2026-01-30 00:00:00", None, None).isoformat() == "2026-01-30T00:00:00+00:00"
    assert INSTANT.convert("2026-01-30T01:00:00+01:00", None, None).isoformat() == "2026-01-30T01:00:00+01:00"
    for wrong in ("EXPOSURE_TIME", "99999999d", "2026-13-01"):
        with pytest.raises(click.BadParameter, match="for example"):
            INSTANT.convert(wrong, None, None)
