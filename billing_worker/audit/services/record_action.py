"""Keep what an operator does: who, which command, why, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import insert, update
from sqlalchemy.exc import DBAPIError

from billing_worker.audit.models import OperatorAction
from billing_worker.audit.rules import mask_arguments
from billing_worker.audit.states import ActionOutcome
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.errors import RefusedError
from billing_worker.runtime.logs import mask

_log = structlog.get_logger(__name__)


class RecordedAction:
    """An action under way; `conclude` says how it ended when that is not simply done."""

    def __init__(self, unit_of_work: UnitOfWork, row: Mapping[str, object]) -> None:
        self._unit_of_work = unit_of_work
        self._row = row
        self._outcome = ActionOutcome.DONE
        self._detail = ""
        self.id = 0

    def conclude(self, outcome: ActionOutcome, detail: str = "") -> None:
        """Note an outcome and one sentence about it; stored at the end of the block."""
        self._outcome, self._detail = outcome, detail

    def __enter__(self) -> Self:
        with self._unit_of_work.transaction() as session:
            statement = insert(OperatorAction).values(**self._row).returning(OperatorAction.id)
            self.id = session.execute(statement).scalar_one()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is not None:
            refused = isinstance(error, RefusedError)
            self.conclude(
                ActionOutcome.REFUSED if refused else ActionOutcome.FAILED,
                str(error).partition("\n")[0] or type(error).__name__,
            )
        try:
            with self._unit_of_work.transaction() as session:
                session.execute(
                    update(OperatorAction)
                    .where(OperatorAction.id == self.id)
                    .values(outcome=self._outcome, detail=mask(self._detail)[:500])
                )
        except DBAPIError as unstored:
            if error is None:
                raise
            # The action's own error is what the operator has to see; the row stays `started`.
            _log.warning("action_outcome_unstored", action_id=self.id, error=str(unstored.orig))


def record_action(
    unit_of_work: UnitOfWork, *, actor: str, command: str, arguments: Mapping[str, object], reason: str = ""
) -> RecordedAction:
    """Return a context manager around an operator's action.

    Phases: `started` is committed before the block runs, the outcome after it; who is killed in between leaves
    `started`. An error in the block ends the action as refused or failed and goes on to the caller.
    """
    row = {
        "acted_at": unit_of_work.now(),
        "actor": actor,
        "command": command,
        "arguments": mask_arguments(arguments),
        "reason": mask(reason),
        "outcome": ActionOutcome.STARTED,
        "detail": "",
    }
    return RecordedAction(unit_of_work, row)
