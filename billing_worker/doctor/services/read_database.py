"""Read what PostgreSQL holds and how it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.queries import ServerFacts, TableSize, find_revision, list_largest_tables, read_server
from billing_worker.doctor.schema import newest_revision

LARGEST = 10


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The server, the schema and the largest tables."""

    server: ServerFacts
    schema: str | None
    schema_wanted: str
    tables: list[TableSize]

    def as_facts(self) -> dict[str, object]:
        """Return everything but the tables."""
        return {**asdict(self.server), "schema": self.schema, "schema_wanted": self.schema_wanted}


def read_database(unit_of_work: UnitOfWork) -> DatabaseState:
    """Read the server's figures, the migration and the sizes."""
    with unit_of_work.transaction() as session:
        return DatabaseState(
            server=read_server(session),
            schema=find_revision(session),
            schema_wanted=newest_revision(),
            tables=list_largest_tables(session, limit=LARGEST),
        )
