"""The env file: settings changed in place, in one step, with everything else in it kept as written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv.parser import parse_stream
from pydantic import SecretStr, ValidationError

from billing_worker.kernel.errors import InvalidValueError, NotFoundError, RefusedError, UnavailableError
from billing_worker.runtime.embedded import MixedInstallationError, resolve_parts
from billing_worker.runtime.planned_settings import PLANNED_SETTINGS
from billing_worker.runtime.settings import CORRECTNESS_SWITCHES, Settings
from billing_worker.runtime.sources import Sources, read_sources
from billing_worker.stack.private_files import write_private

PASSED_ON = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PG_BIN_DIR", "REDIS_SERVER_BIN", "TZ"})
"""Not settings of ours, but every process gets them."""

WITHOUT_EFFECT = {"NODE_OPTIONS": "nothing here runs on Node; BILLING_MEMORY_LIMIT bounds a worker's memory"}

SECRET_WORDS = ("SECRET", "PASSWORD", "TOKEN", "BASIC_AUTH", "PRIVATE", "DATABASE_URL", "DATABASE_DIRECT_URL")
SHOWN_PREFIXES = ("sk_test_", "sk_live_", "rk_test_", "rk_live_", "whsec_")


class UnknownSettingError(NotFoundError):
    """No setting has this name and nobody has set it."""


class PlannedSettingError(UnavailableError):
    """The setting is known and not acted on yet."""


@dataclass(frozen=True, slots=True)
class SettingValue:
    """What counts for one name, and who says so."""

    name: str
    value: str
    source: str
    is_secret: bool

    @property
    def masked(self) -> str:
        """Return the value without what must stay secret; the mode a key is for may be seen."""
        if not self.is_secret or not self.value:
            return self.value
        return next((prefix for prefix in SHOWN_PREFIXES if self.value.startswith(prefix)), "") + "***"


def is_secret(name: str) -> bool:
    """Say whether a setting's value must not be shown."""
    field = Settings.model_fields.get(name.lower())
    if field is not None:
        return field.annotation is SecretStr
    return any(word in name for word in SECRET_WORDS) or name.endswith("_KEY")


def set_values(environ: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Check values against the rules of Settings, write them into the env file, and return what to tell the operator.

    Idempotent by: a name that stands in the file is replaced where it stands.
    Raises: InvalidValueError for a value that cannot be read, RefusedError for one that must not be set,
    PlannedSettingError for one that nothing acts on yet.
    """
    sources = read_sources(environ)
    for name, value in values.items():
        if not name.isidentifier() or name != name.upper() or not name.isascii():
            raise InvalidValueError(f"{name!r} is not a setting's name: write for example STRIPE_MAX_RETRIES=3")
        if "\n" in value or "\r" in value or "\0" in value:
            raise InvalidValueError(f"the value of {name} has several lines: write it on one")
    _refuse_planned(values)
    _check(sources, values)
    write_private(sources.env_file, _replaced(_read(sources.env_file), values))
    return _remarks(sources, values)


def get_value(environ: Mapping[str, str], name: str) -> SettingValue:
    """Return what counts for a name: what is written, or the setting's default.

    Raises: UnknownSettingError when there is neither.
    """
    sources = read_sources(environ)
    merged, field = sources.merged, Settings.model_fields.get(name.lower())
    if name in merged:
        return SettingValue(name, merged[name], _source(sources, name, merged[name]), is_secret(name))
    if field is None:
        raise UnknownSettingError(f"{name} is no setting and not set; `nself env set {name}=VALUE` would write it")
    default = field.get_default(call_default_factory=True)
    return SettingValue(name, _as_text(default), "default", is_secret(name))


def _source(sources: Sources, name: str, value: str) -> str:
    for source, texts in (("environment", sources.process), ("env file", sources.written), ("stack", sources.stack)):
        if texts.get(name) == value:
            return source
    return "stack"  # decided from several sources, like NSELF_EMBEDDED


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return "" if value is None else str(value)


def _refuse_planned(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if value and name.lower() in PLANNED_SETTINGS:
            raise PlannedSettingError(f"{name} has no effect in this release: {PLANNED_SETTINGS[name.lower()]}")


def _check(sources: Sources, values: Mapping[str, str]) -> None:
    try:
        Settings.model_validate({**sources.merged, **{name: value for name, value in values.items() if value}})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(problem["loc"][0]) if problem["loc"] else ""
            message = problem["msg"].removeprefix("Value error, ")
            if not name or (name in values and name.lower() in CORRECTNESS_SWITCHES):
                raise RefusedError(f"{name or 'these settings'}: {message}") from None
            if name in values:
                raise InvalidValueError(f"{name}: {message}") from None


def _remarks(sources: Sources, values: Mapping[str, str]) -> tuple[str, ...]:
    remarks = []
    for name in values:
        if sources.process.get(name):
            remarks.append(f"{name} is also set in this environment, which wins over the file")
        if name.lower() not in Settings.model_fields and name not in PASSED_ON:
            remarks.append(f"{name} is no setting of this system: {WITHOUT_EFFECT.get(name, 'it is kept in the file')}")
    given = {**sources.given, **values}
    try:
        resolve_parts({name: value for name, value in given.items() if value}, sources.stack).refuse_mix()
    except MixedInstallationError as mix:
        remarks.append(f"the next start will be refused: {mix}")
    return tuple(remarks)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _replaced(text: str, values: Mapping[str, str]) -> str:
    pending, kept = dict(values), []
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is None or binding.key not in values:
            kept.append(binding.original.string)
        elif binding.key in pending:  # a second line of the same name goes
            kept.append(_line(binding.key, pending.pop(binding.key)))
    if kept and not kept[-1].endswith("\n"):
        kept.append("\n")
    return "".join(kept) + "".join(_line(name, value) for name, value in pending.items())


def _line(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'\n"
