"""What a person's SQL is: split into statements, told apart by what they may change.

Pure, and PostgreSQL has the last word: reading runs read-only, writing is looked at before its commit. The split knows
strings, quoted names, dollar quotes and comments, so that a semicolon inside one ends nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from billing_worker.kernel.errors import InvalidValueError, RefusedError

READING = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN"})
"""What may run without --write; the transaction is read-only besides, whatever hides in it."""

CURSOR_READING = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
"""What a cursor can fetch, so that a huge answer stays at the server."""

SESSION_WORDS = frozenset(
    {"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "SET", "RESET"}
    | {"DISCARD", "LISTEN", "UNLISTEN", "LOAD", "DECLARE", "FETCH", "CLOSE", "COPY", "EXECUTE", "DEALLOCATE"}
)
"""What would leave the transaction that this command answers for, or needs a session of its own."""

MONEY_TABLES = (
    "billing_transactions",
    "billing_intents",
    "billing_overages",
    "billing_payment_queue",
    "billing_operator_actions",
)
"""Rows that prove what was charged and who did what: nothing typed here changes them."""

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*)
    | (?P<open>/\*)
    | (?P<escape>\b[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<dollar>(?<![A-Za-z0-9_$\x80-\U0010ffff])\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<end>;)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NESTING = re.compile(r"/\*|\*/")


class UnreadableStatementError(InvalidValueError):
    """A statement ends inside a string, a quoted name or a comment."""


class UnsafeStatementError(RefusedError):
    """A statement is not run, for the reason given."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Shape: `words` are its bare words in capitals, quoted names as they are; `sql` has no semicolon at its end.
    """

    sql: str
    words: tuple[str, ...]

    @property
    def verb(self) -> str:
        """Return what it does."""
        return self.words[0] if self.words else ""

    @property
    def is_reading(self) -> bool:
        """Say whether it may run in a read-only transaction."""
        return self.verb in READING

    def names(self, table: str) -> bool:
        """Say whether it names a table, with or without its schema."""
        return any(word.lower() == table for word in self.words)


def split_statements(sql: str) -> list[Statement]:
    """Split a text at the semicolons that end statements; empty ones are dropped.

    Raises: UnreadableStatementError; InvalidValueError for a text without statement.
    """
    statements: list[Statement] = []
    begin, position, words = 0, 0, list[str]()
    while (token := _TOKEN.match(sql, position)) is not None:
        position = _end_of(sql, token)
        match token.lastgroup:
            case "word":
                words.append(token[0].upper())
            case "name":
                words.append(token[0][1:-1].replace('""', '"'))
            case "end":
                statements.append(Statement(sql[begin : token.start()].strip(), tuple(words)))
                begin, words = position, []
            case "other" if token[0] in "'\"":
                raise UnreadableStatementError(f"a quote opened at character {token.start() + 1} is never closed")
    statements.append(Statement(sql[begin:].strip(), tuple(words)))
    found = [statement for statement in statements if statement.words]
    if not found:
        raise InvalidValueError('there is no statement; write for example "SELECT count(*) FROM billing_usage"')
    return found


def check_allowed(statements: list[Statement], *, write: bool) -> None:
    """Refuse what must not be run, each time with the safe way.

    Raises: UnsafeStatementError.
    """
    for statement in statements:
        _refuse_session_words(statement)
        _refuse_money(statement)
        if not statement.is_reading and not write:
            raise UnsafeStatementError(f"{statement.verb} changes the database: {_safe_way(statement)}")


def changes_money(table: str, verb: str = "this") -> UnsafeStatementError:
    """Make the refusal for a statement that would change a money table."""
    return UnsafeStatementError(
        f"{verb} would change {table}, the proof of what was charged and by whom: it is never changed here. To start "
        "anew with test data, use another database (`nself env set DATABASE_URL=…`, or another NSELF_HOME for the "
        "embedded one); to return money, refund it at Stripe, which adds rows"
    )


def _refuse_session_words(statement: Statement) -> None:
    if statement.verb in SESSION_WORDS:
        raise UnsafeStatementError(
            f"{statement.verb} is not run here: each call is one transaction with its own limits; use psql for sessions"
        )


def _refuse_money(statement: Statement) -> None:
    # A name further on is a source of rows, not what is changed; what this misses is found before the commit.
    where = {"TRUNCATE": None, "DROP": None, "ALTER": None, **dict.fromkeys(("DELETE", "UPDATE", "INSERT", "MERGE"), 5)}
    if statement.verb not in where:
        return
    words = {word.lower() for word in statement.words[: where[statement.verb]]}
    for table in MONEY_TABLES:
        if table in words:
            raise changes_money(table, statement.verb)


def _safe_way(statement: Statement) -> str:
    again = "or the same with --write --reason TEXT, which is recorded"
    if statement.verb == "UPDATE" and statement.names("billing_webhook_events"):
        return (
            "an event is stored once per id and applied once, however often it is delivered; "
            f"`nself billing webhook check-duplicates` proves it; {again}"
        )
    if statement.verb == "CREATE" and "INDEX" in statement.words:
        return (
            "creating an index stops writers of the table while it is built, and the schema has those its own queries "
            f"need (see the view pg_indexes); {again}"
        )
    return f"look first with SELECT, {again}"


def _end_of(sql: str, token: re.Match[str]) -> int:
    if token.lastgroup == "open":
        return _end_of_comment(sql, token.start())
    if token.lastgroup == "dollar":
        end = sql.find(token["dollar"], token.end())
        if end < 0:
            raise UnreadableStatementError(f"{token['dollar']} at character {token.start() + 1} is never closed")
        return end + len(token["dollar"])
    return token.end()


def _end_of_comment(sql: str, start: int) -> int:
    depth = 0
    for bracket in _NESTING.finditer(sql, start):
        depth += 1 if bracket[0] == "/*" else -1
        if depth == 0:
            return bracket.end()
    raise UnreadableStatementError(f"a comment opened at character {start + 1} is never closed")
