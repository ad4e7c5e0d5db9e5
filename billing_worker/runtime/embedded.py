"""Which parts of an installation are embedded, and which settings of the stack may therefore count.

A sandbox must never reconcile against a production database, nor a fresh database acknowledge real webhooks: what
`stack.env` says about a part counts only while that part is embedded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from billing_worker.kernel.errors import InvalidValueError, RefusedError

MARKS = {"postgres": "DATABASE_URL", "redis": "REDIS_URL", "stripe": "STRIPE_SECRET_KEY"}
"""Each part and the variable whose presence says that it lives elsewhere."""

PART_OF_NAME = {
    "DATABASE_URL": "postgres",
    "REDIS_URL": "redis",
    "STRIPE_API_BASE": "stripe",
    "STRIPE_MOCK_ENABLED": "stripe",
}
"""Names that the stack decides while their part is embedded, whatever else is written."""

DEFAULT_OF_PART = {
    "STRIPE_SECRET_KEY": "stripe",
    "STRIPE_WEBHOOK_SECRET": "stripe",
    "STRIPE_RATE_LIMIT": "stripe",
    "BILLING_COLLECTOR": "stripe",
}
"""Names that the stack proposes while their part is embedded: an operator's own value wins."""

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})


class MixedInstallationError(RefusedError):
    """Some parts of the installation are given and the others are neither given nor named as embedded."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of an installation: ours, somebody else's, and those nobody has spoken of."""

    embedded: frozenset[str]
    external: frozenset[str]
    missing: frozenset[str]

    def refuse_mix(self) -> None:
        """Raise MixedInstallationError, naming the parts and both ways out, when something is missing."""
        if not self.missing:
            return
        given = ", ".join(MARKS[part] for part in MARKS if part in self.external)
        absent = ", ".join(MARKS[part] for part in MARKS if part in self.missing)
        embed = ",".join(part for part in MARKS if part in self.missing | self.embedded)
        raise MixedInstallationError(
            f"{given} {'is' if len(self.external) == 1 else 'are'} set and {absent} not: set {absent}, "
            f"or say that it is meant: `nself env set NSELF_EMBEDDED={embed}`"
            + (
                " (with a test key, `nself env set STRIPE_MOCK_ENABLED=true` uses the sandbox in Stripe's place)"
                if "stripe" in self.external
                else ""
            )
        )


def named_parts(given: Mapping[str, str]) -> frozenset[str]:
    """Return the parts that NSELF_EMBEDDED and STRIPE_MOCK_ENABLED name."""
    text = given.get("NSELF_EMBEDDED", "").strip().lower()
    if text in TRUE_WORDS:
        return frozenset(MARKS)
    names = frozenset(word.strip() for word in text.split(",") if word.strip())
    if unknown := names - MARKS.keys():
        raise InvalidValueError(
            f"NSELF_EMBEDDED names {', '.join(sorted(unknown))}: write 1 for everything, or some of {','.join(MARKS)}"
        )
    if given.get("STRIPE_MOCK_ENABLED", "").strip().lower() in TRUE_WORDS:
        names |= {"stripe"}
    return names


def resolve_parts(given: Mapping[str, str], stack: Mapping[str, str]) -> Parts:
    """Sort the parts; a value the stack itself wrote is not a word about another server."""
    named = named_parts(given)
    external = frozenset(
        part
        for part, mark in MARKS.items()
        if part not in named and given.get(mark) and given.get(mark) != stack.get(mark)
    )
    if not external:
        return Parts(embedded=frozenset(MARKS), external=external, missing=frozenset())
    return Parts(embedded=named, external=external, missing=frozenset(MARKS) - external - named)


def merge_environment(
    process: Mapping[str, str], env_file: Mapping[str, str], stack: Mapping[str, str]
) -> dict[str, str]:
    """Merge the sources of settings; empty values count as absent.

    Order: what the stack decides for its embedded parts, the process, the env file, what the stack proposes.
    """
    given = {name: value for name, value in {**env_file, **process}.items() if value != ""}
    if not stack:
        return given
    embedded = resolve_parts(given, stack).embedded
    proposed = {
        name: value
        for name, value in stack.items()
        if name not in PART_OF_NAME and DEFAULT_OF_PART.get(name) in {None, *embedded}
    }
    decided = {name: stack[name] for name, part in PART_OF_NAME.items() if part in embedded and name in stack}
    if embedded:
        decided["NSELF_EMBEDDED"] = ",".join(part for part in MARKS if part in embedded)
    return {**proposed, **given, **decided}
