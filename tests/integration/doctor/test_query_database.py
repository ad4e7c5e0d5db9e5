"""SQL of operators on a real database: read-only unless meant, all or nothing, money never."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.services.query_database import query_database
from billing_worker.doctor.statements import MONEY_TABLES, UnsafeStatementError
from billing_worker.kernel.clock import Clock
from billing_worker.kernel.errors import InvalidValueError, TerminalError, UnavailableError

LEASE = "INSERT INTO billing_leases VALUES ('beat', 'x', '2026-03-01Z')"
TRANSACTION = (
    "INSERT INTO billing_transactions (transaction_key, kind, stripe_id, amount_minor, currency, livemode, "
    "occurred_at, recorded_at) VALUES ('k', 'charge', 'ch_1', 5, 'usd', false, '2026-03-01Z', '2026-03-01Z')"
)
GONE = "DELETE FROM billing_leases WHERE name <> 'x'"
HIDDEN = "DO $$ BEGIN EXECUTE 'DELETE FROM billing.bill' || 'ing_transactions'; END $$"


@pytest.fixture(autouse=True)
def filled(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(LEASE))
        connection.execute(text(TRANSACTION))


def counts(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        counted = connection.execute(
            text("SELECT (SELECT count(*) FROM billing_leases), (SELECT count(*) FROM billing_transactions)")
        ).one()
    return counted[0], counted[1]


def test_rows_come_with_unique_names_and_plain_values(unit_of_work: UnitOfWork) -> None:
    [result] = query_database(
        unit_of_work, "SELECT 1, 'a%b:c', 2.50::numeric AS n, '\\x0aff'::bytea, NULL AS n;", limit=5, write=False
    )
    assert result.columns == ("?column?", "?column?_2", "n", "bytea", "n_5")
    assert result.rows == [
        {"?column?": 1, "?column?_2": "a%b:c", "n": Decimal("2.50"), "bytea": "\\x0aff", "n_5": None}
    ]
    assert (result.affected, result.is_cut) == (None, False)


def test_a_large_answer_stays_at_the_server(unit_of_work: UnitOfWork) -> None:
    # Read whole, this would be ten thousand million rows.
    sql = "SELECT * FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
    [result] = query_database(unit_of_work, sql, limit=3, write=False)
    assert (len(result.rows), result.is_cut) == (3, True)
    [exact] = query_database(unit_of_work, "VALUES (1), (2), (3)", limit=3, write=False)
    assert (len(exact.rows), exact.is_cut) == (3, False)


def test_several_statements_give_several_results(unit_of_work: UnitOfWork) -> None:
    results = query_database(
        unit_of_work, "SHOW search_path; TABLE billing_leases; EXPLAIN SELECT 1", limit=9, write=False
    )
    assert [result.verb for result in results] == ["SHOW", "TABLE", "EXPLAIN"]
    assert [len(result.rows) for result in results] == [1, 1, 1]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM billing_leases",
        "WITH gone AS (DELETE FROM billing_leases RETURNING 1) SELECT * FROM gone",
        "SELECT * INTO billing.copied FROM billing_leases",
        "EXPLAIN ANALYZE DELETE FROM billing_leases",
        "SELECT nextval('billing.billing_usage_id_seq')",
        "SELECT * FROM billing_leases FOR UPDATE",
        "SELECT 1; COMMIT; DELETE FROM billing_leases",
        "TRUNCATE TABLE billing_transactions CASCADE",
        HIDDEN,
    ],
)
def test_reading_changes_nothing_whatever_hides_in_it(unit_of_work: UnitOfWork, engine: Engine, sql: str) -> None:
    with pytest.raises((UnsafeStatementError, InvalidValueError)):
        query_database(unit_of_work, sql, limit=5, write=False)
    assert counts(engine) == (1, 1)


def test_writing_is_all_or_nothing(unit_of_work: UnitOfWork, engine: Engine) -> None:
    both = "INSERT INTO billing_leases VALUES ('b', 'x', now()), ('c', 'x', now()); SELECT count(*) FROM billing_leases"
    inserted, counted = query_database(unit_of_work, both, limit=5, write=True)
    assert (inserted.verb, inserted.affected, counted.rows) == ("INSERT", 2, [{"count": 3}])
    with pytest.raises(TerminalError, match="duplicate key"):
        query_database(unit_of_work, "; ".join((LEASE.replace("beat", "d"), LEASE)), limit=5, write=True)
    assert counts(engine) == (3, 1)


def test_the_guides_indexes_are_made_when_meant(unit_of_work: UnitOfWork, engine: Engine) -> None:
    made = query_database(
        unit_of_work,
        " CREATE INDEX idx_billing_usage_user_date ON billing_usage(user_id, created_at); "
        "CREATE INDEX idx_billing_subscriptions_customer ON billing_subscriptions(customer_id, status); ",
        limit=5,
        write=True,
    )
    assert [(result.verb, result.affected) for result in made] == [("CREATE", 0), ("CREATE", 0)]
    with engine.connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_billing_%'"))
        assert found.scalar_one() == 2


@pytest.mark.parametrize(
    "sql",
    [
        HIDDEN,
        "WITH gone AS (DELETE FROM billing_transactions RETURNING 1) SELECT * FROM gone",
        "DO $$ BEGIN EXECUTE 'TRUNC' || 'ATE billing.billing_int' || 'ents CASCADE'; END $$",
        "DO $$ BEGIN EXECUTE 'DROP TABLE billing.billing_trans' || 'actions'; END $$",
        "CREATE TRIGGER t BEFORE UPDATE ON billing_transactions EXECUTE FUNCTION tsvector_update_trigger('a', 'b')",
    ],
)
def test_money_is_not_changed_by_detours(unit_of_work: UnitOfWork, engine: Engine, sql: str) -> None:
    with pytest.raises(UnsafeStatementError, match=f"would change ({'|'.join(MONEY_TABLES)})"):
        query_database(unit_of_work, f"{GONE}; {sql}", limit=5, write=True)
    assert counts(engine) == (1, 1)


def test_reading_money_while_writing_elsewhere_is_allowed(unit_of_work: UnitOfWork, engine: Engine) -> None:
    sql = "DELETE FROM billing_leases WHERE EXISTS (SELECT 1 FROM billing_transactions)"
    [deleted] = query_database(unit_of_work, sql, limit=5, write=True)
    assert (deleted.affected, counts(engine)) == (1, (0, 1))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELEKT 1", "SELEKT changes the database"),
        ("SELECT FROM WHERE", "syntax error"),
        ("SELECT 1/0", "division by zero"),
        ("SELECT 'x'::int", "invalid input syntax"),
    ],
)
def test_a_wrong_statement_is_answered_with_postgresqls_reason(unit_of_work: UnitOfWork, sql: str, said: str) -> None:
    with pytest.raises((InvalidValueError, UnsafeStatementError), match=said):
        query_database(unit_of_work, sql, limit=5, write=False)


def test_what_cannot_run_in_a_transaction_is_refused(unit_of_work: UnitOfWork) -> None:
    for sql in ("VACUUM billing_leases", "CREATE INDEX CONCURRENTLY i ON billing_leases (holder)"):
        with pytest.raises(UnsafeStatementError, match="use psql on the direct connection"):
            query_database(unit_of_work, sql, limit=5, write=True)


def test_limits_end_what_takes_too_long(engine: Engine, clock: Clock) -> None:
    hasty = UnitOfWork(engine, clock, statement_timeout=timedelta(milliseconds=50))
    with pytest.raises(UnavailableError, match="DB_QUERY_TIMEOUT=5m"):
        query_database(hasty, "SELECT pg_sleep(60) FROM generate_series(1, 2)", limit=5, write=False)
