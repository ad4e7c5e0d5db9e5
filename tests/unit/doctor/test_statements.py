"""What a person's SQL is taken for: nothing hides behind a semicolon, a quote or a comment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_worker.doctor.statements import (
    MONEY_TABLES,
    SESSION_WORDS,
    UnreadableStatementError,
    UnsafeStatementError,
    check_allowed,
    split_statements,
)
from billing_worker.kernel.errors import InvalidValueError

DUPLICATE = (
    " UPDATE billing_webhook_events SET status = 'duplicate' WHERE event_id = 'evt_123' AND id != "
    "( SELECT MIN(id) FROM billing_webhook_events WHERE event_id = 'evt_123' ) "
)
INDEXES = (
    " CREATE INDEX idx_billing_usage_user_date ON billing_usage(user_id, created_at); "
    "CREATE INDEX idx_billing_subscriptions_customer ON billing_subscriptions(customer_id, status); "
)


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("select 1", ["select 1"]),
        (" select 1 ; ; select 2;\n", ["select 1", "select 2"]),
        ("select 'a;b', 'it''s;'; table x", ["select 'a;b', 'it''s;'", "table x"]),
        (r"select E'a\';b'; table x", [r"select E'a\';b'", "table x"]),
        (r"select 'a\'; table x", [r"select 'a\'", "table x"]),
        ('select "a;""b"; table x', ['select "a;""b"', "table x"]),
        ("select $$a;b$$; table x", ["select $$a;b$$", "table x"]),
        ("select $x$;$$;$x$; table x", ["select $x$;$$;$x$", "table x"]),
        ("select 1 -- ; no\n; table x", ["select 1 -- ; no", "table x"]),
        ("/* ; /* ; */ ; */ select 1; table x", ["/* ; /* ; */ ; */ select 1", "table x"]),
        # `$` inside an identifier opens no dollar quote, in whatever script the identifier is written
        ("select a$x$; commit; select b$x$", ["select a$x$", "commit", "select b$x$"]),
        ("select é$x$; commit; select é$x$", ["select é$x$", "commit", "select é$x$"]),
    ],
)
def test_statements_end_where_postgresql_ends_them(sql: str, statements: list[str]) -> None:
    assert [statement.sql for statement in split_statements(sql)] == statements


@pytest.mark.parametrize("sql", ["select 'abc", 'select "abc', "select $$abc", "select $a$abc$b$", "/* select 1"])
def test_what_is_never_closed_is_refused(sql: str) -> None:
    with pytest.raises(UnreadableStatementError, match="never closed"):
        split_statements(sql)


@pytest.mark.parametrize("sql", ["", "  ;; ", "-- nothing", "/* nothing */"])
def test_no_statement_is_answered_with_a_right_one(sql: str) -> None:
    with pytest.raises(InvalidValueError, match=r"write for example \"SELECT"):
        split_statements(sql)


FRAGMENTS = st.sampled_from(["/* ; ' /*;*/ */", "-- ; '\n", "e", "::text", "$1", "a$b"]) | st.sampled_from(
    ["a", "é", "1", "(", "'x;y'", "''''", r"E'\';'", r"'\'", '"n;m"', '"n"""', "$$;'$$", "$t$;$$;$t$"],
)


@given(st.lists(st.lists(FRAGMENTS, max_size=6), min_size=1, max_size=4))
def test_any_mixture_of_quotes_is_split_at_its_semicolons_alone(bodies: list[list[str]]) -> None:
    statements = [" ".join(["select", *body]).strip() for body in bodies]
    # A line comment takes the rest of its line, so each semicolon stands on a line of its own.
    assert [each.sql for each in split_statements("\n;".join(statements))] == statements


@pytest.mark.parametrize("sql", ["SELECT 1", "with a as (select 1) table a", "(values (1))", "show work_mem"])
def test_reading_is_allowed(sql: str) -> None:
    check_allowed(split_statements(sql), write=False)


@pytest.mark.parametrize(
    ("sql", "safe_way"),
    [
        (DUPLICATE, "nself billing webhook check-duplicates"),
        (INDEXES, "--write --reason"),
        ("delete from billing_effects", "look first with SELECT"),
        ("select 1; drop table billing_leases", "--write --reason"),
    ],
)
def test_changes_are_refused_with_the_safe_way_and_allowed_when_meant(sql: str, safe_way: str) -> None:
    statements = split_statements(sql)
    with pytest.raises(UnsafeStatementError, match=safe_way):
        check_allowed(statements, write=False)
    check_allowed(statements, write=True)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("table", MONEY_TABLES)
@pytest.mark.parametrize(
    "sql",
    [
        "TRUNCATE TABLE {} CASCADE",
        'truncate billing."{}"',
        "TRUNCATE billing_leases, billing.{}",
        "delete from only billing.{} where id = 1",
        "update {} set amount_minor = 0",
        "drop table if exists billing.{}",
        "alter table {} add column x int",
        "insert into {} select * from x",
    ],
)
def test_the_history_of_money_is_never_changed(sql: str, table: str, write: bool) -> None:  # noqa: FBT001 - parametrized
    with pytest.raises(UnsafeStatementError, match=f"would change {table}.*another database"):
        check_allowed(split_statements(sql.format(table)), write=write)


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("word", sorted(SESSION_WORDS))
def test_nothing_leaves_the_transaction(word: str, write: bool) -> None:  # noqa: FBT001 - parametrized
    with pytest.raises(UnsafeStatementError, match="is not run here"):
        check_allowed(split_statements(f"select 1; {word} x"), write=write)
