"""The search query language: clauses of field, operator and value, joined by AND or by OR.

Source: Stripe documentation, “Search”, query language.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.store import at_path

_MAX_CLAUSES = 10
_MIN_SUBSTRING = 3
_CLAUSE = re.compile(
    r"""\s*(?P<negated>-)?(?P<field>[A-Za-z_][\w.]*)(?:\[(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\])?
    \s*(?P<operator>>=|<=|:|~|>|<)\s*(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?|null\b|true\b|false\b)""",
    re.VERBOSE,
)
_JOINT = re.compile(r"\s+(?P<word>AND|OR)\b|\s+", re.IGNORECASE)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class FieldType(StrEnum):
    """What a field can be asked: exactly, in part, or by size."""

    TOKEN = "token"  # noqa: S105 - Stripe's word for texts that match whole
    STRING = "string"
    NUMERIC = "numeric"


@dataclass(frozen=True, slots=True)
class SearchField:
    """A field of a resource: its type and the path where it lies, if that is not its name."""

    type: FieldType
    path: str


@dataclass(frozen=True, slots=True)
class _Clause:
    field: SearchField
    key: str | None
    operator: str
    value: str | float | None
    is_negated: bool

    def holds(self, document: Document) -> bool:
        found = at_path(document, self.field.path)
        if self.key is not None:
            found = (found or {}).get(self.key)
        return self._matches(found) is not self.is_negated

    def _matches(self, found: Any) -> bool:  # noqa: ANN401 - any JSON value
        if self.value is None or found is None:
            return found is None and self.value is None
        if self.operator in _COMPARE:
            return _COMPARE[self.operator](float(found), float(self.value))
        if self.field.type is FieldType.NUMERIC:
            return float(found) == float(self.value)
        text, wanted = _as_text(found), _as_text(self.value)
        return wanted in text if self.operator == "~" else wanted == text


def parse_query(query: str, fields: Mapping[str, SearchField], resource: str) -> Callable[[Document], bool]:
    """Turn a query into a test of documents.

    Raises: ApiError 400 naming what cannot be understood.
    """
    clauses, words, position = [], set(), 0
    while True:
        matched = _CLAUSE.match(query, position)
        if matched is None:
            raise _unreadable(query, position)
        clauses.append(_clause(matched, fields, resource))
        position = matched.end()
        if not query[position:].strip():
            break
        joint = _JOINT.match(query, position)
        if joint is None:
            raise _unreadable(query, position)
        words.add((joint["word"] or "AND").upper())
        position = joint.end()
    if len(words) > 1:
        raise invalid("You cannot combine both AND and OR in the same search query.", param="query")
    if len(clauses) > _MAX_CLAUSES:
        raise invalid(f"A search query can have at most {_MAX_CLAUSES} clauses.", param="query")
    combine = any if "OR" in words else all
    return lambda document: combine(clause.holds(document) for clause in clauses)


def _clause(matched: re.Match[str], fields: Mapping[str, SearchField], resource: str) -> _Clause:
    name, sign, raw = matched["field"], matched["operator"], matched["value"]
    found = fields.get(name)
    if found is None or (matched["key"] is None) is (name == "metadata"):
        raise invalid(
            f"Field `{name}` is an unsupported search field for resource `{resource}`. See "
            f"https://stripe.com/docs/search#query-fields-for-{resource.replace('_', '')} for a list of supported "
            "fields.",
            param="query",
        )
    allowed = {FieldType.TOKEN: ":", FieldType.STRING: ":~", FieldType.NUMERIC: ": > < >= <="}[found.type]
    if sign not in allowed:
        raise invalid(f"The operator `{sign}` is not supported for the {found.type} field `{name}`.", param="query")
    value = _value(raw, found, name)
    if sign == "~" and len(str(value)) < _MIN_SUBSTRING:
        raise invalid(f"Substring queries need at least {_MIN_SUBSTRING} characters.", param="query")
    key = None if matched["key"] is None else _unquoted(matched["key"])
    return _Clause(found, key, sign, value, matched["negated"] is not None)


def _value(raw: str, field: SearchField, name: str) -> str | float | None:
    if raw == "null":
        return None
    text = _unquoted(raw)
    if field.type is not FieldType.NUMERIC:
        return text
    try:
        return float(text)
    except ValueError as error:
        raise invalid(f"The field `{name}` is numeric: `{text}` is no number.", param="query") from error


def _unquoted(raw: str) -> str:
    return re.sub(r"\\(.)", r"\1", raw[1:-1]) if raw[0] in "\"'" else raw


def _as_text(value: Any) -> str:  # noqa: ANN401 - any JSON scalar
    return str(value).casefold()


def _unreadable(query: str, position: int) -> Exception:
    rest = query[position:].strip()
    return invalid(
        f"We were unable to parse your search query{f' at `{rest}`' if rest else ''}. Try using the format "
        "`metadata['key']:'value'` to query metadata or `field:'value'` to query other fields.",
        param="query",
    )
