"""The lazy command tree: a file's path is its command, and listing commands imports none of them."""

from __future__ import annotations

import ast
import difflib
import importlib
from pathlib import Path
from typing import Any

import click

from billing_worker.cli._planned import PLANNED, PlannedCommand

ROOT = Path(__file__).parent
OWN_INVOCATION = "_self"
"""In a noun's folder: the command that runs when the noun is called without a verb."""
HELP: dict[str, list[str]] = {"help_option_names": ["-h", "--help"]}
INFRASTRUCTURE = frozenset({"main"})
"""Modules beside the commands that are none."""


class NounGroup(click.Group):
    """A noun: its verbs are the files and folders of its folder, and what is only planned.

    Shape: `own` runs when the noun is called without a verb of it; then every argument is its own.
    """

    def __init__(self, words: tuple[str, ...], *, own: click.Command | None = None) -> None:
        super().__init__(
            name=words[-1] if words else None,
            help=_summary(_folder(words) / "__init__.py") or (own.help if own else "Not in this release."),
            context_settings=HELP,
        )
        self.words = words
        self.own = own

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's interface
    ) -> click.Context:
        """Hand over to the own command unless a verb or help is asked for."""
        if self.own is not None and not (args and args[0] in {*self.children(), *HELP["help_option_names"]}):
            return self.own.make_context(info_name, args, parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show the own command's options above the verbs."""
        if self.own is None:
            super().format_options(ctx, formatter)
            return
        self.own.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def children(self) -> list[str]:
        """Name the children by looking at the folder and the table."""
        return sorted(self._files() | self._planned())

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """Name the children."""
        return self.children()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's interface
        """Load one child: a file or folder, else what is planned under that name."""
        words = (*self.words, cmd_name)
        if cmd_name in self._files():
            return load_command(words)
        if cmd_name not in self._planned():
            return None
        if any(path[: len(words)] == words and len(path) > len(words) for path in PLANNED):
            return NounGroup(words, own=PlannedCommand(words) if words in PLANNED else None)
        return PlannedCommand(words)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the child; a wrong name is answered with the nearest right ones."""
        if args and args[0] not in (known := self.list_commands(ctx)) and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], known, n=3) or known[:6]
            raise click.UsageError(f"no such command {args[0]!r}; for example: {', '.join(near)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the children with the first line of their docstrings, read without importing them."""
        rows = [(name, self._child_summary(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _files(self) -> set[str]:
        folder = _folder(self.words)
        if not folder.is_dir():
            return set()
        return {
            path.stem.replace("_", "-")
            for path in folder.iterdir()
            if not path.name.startswith(("_", "."))
            and (path.suffix == ".py" or (path / "__init__.py").exists())
            and (self.words or path.stem not in INFRASTRUCTURE)
        }

    def _planned(self) -> set[str]:
        depth = len(self.words)
        return {path[depth] for path in PLANNED if len(path) > depth and path[:depth] == self.words}

    def _child_summary(self, name: str) -> str:
        words = (*self.words, name)
        for path in (_file(words), _folder(words) / "__init__.py"):
            if path.exists():
                return _summary(path)
        return f"(not in this release) {PLANNED[words].purpose}" if words in PLANNED else "(not in this release)"


def load_command(words: tuple[str, ...]) -> click.Command:
    """Import the command of a path: a file's `command`, or the group of a folder."""
    if _folder(words).is_dir():
        return NounGroup(words, own=_own_command(words))
    return _imported(_module(words))


def _own_command(words: tuple[str, ...]) -> click.Command | None:
    if (_folder(words) / f"{OWN_INVOCATION}.py").exists():
        return _imported(f"{_module(words)}.{OWN_INVOCATION}")
    return PlannedCommand(words) if words in PLANNED else None


def _imported(module: str) -> click.Command:
    command = importlib.import_module(module).command
    if not isinstance(command, click.Command):
        raise TypeError(f"{module}.command is no click command")
    return command


def _module(words: tuple[str, ...]) -> str:
    return ".".join(("billing_worker.cli", *(word.replace("-", "_") for word in words)))


def _folder(words: tuple[str, ...]) -> Path:
    return ROOT.joinpath(*(word.replace("-", "_") for word in words))


def _file(words: tuple[str, ...]) -> Path:
    return _folder(words).with_suffix(".py")


def _summary(path: Path) -> str:
    if not path.exists():
        return ""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]
