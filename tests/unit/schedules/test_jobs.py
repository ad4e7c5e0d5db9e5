from __future__ import annotations

import pkgutil
from datetime import timedelta
from typing import Any

import pytest

import schedules
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import load_settings
from billing_worker.worker.ledger.rules import schedule_of
from schedules import JOBS, collect
from schedules.job import Job

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"every": MINUTE, "cron": "0 3 * * *"}, "exactly one of"),
        ({}, "exactly one of"),
        ({"every": timedelta(milliseconds=500)}, "whole seconds"),
        ({"every": timedelta(0)}, "whole seconds"),
        ({"every": timedelta(seconds=1, milliseconds=1)}, "whole seconds"),
        ({"every": MINUTE, "overlap": "queue"}, "overlap is skip or allow"),
        ({"every": MINUTE, "if_missed": "never"}, "if_missed is each, last or skip"),
        ({"every": MINUTE, "name": "Quota Reset"}, "is no name"),
        ({"every": MINUTE, "task": "reset"}, "is no wire name"),
        ({"every": MINUTE, "queue": ""}, "has no queue"),
        ({"cron": "nightly"}, "has 1 fields"),
    ],
)
def test_a_job_that_cannot_run_is_refused_at_import(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        Job(**{"name": "a_job", "task": "slice.do_it", "queue": "maintenance", **wrong})


def test_two_jobs_of_one_name_are_refused() -> None:
    job = Job("a_job", task="slice.do_it", queue="maintenance", every=MINUTE)
    with pytest.raises(InvalidValueError, match="a_job is scheduled twice"):
        collect([[job], [job]])


def test_every_theme_is_collected() -> None:
    themes = {module.name for module in pkgutil.iter_modules(schedules.__path__)} - {"job", "cron"}
    collected = {name for name in themes if hasattr(getattr(schedules, name, None), "JOBS")}
    assert collected == themes
    assert {job for name in themes for job in getattr(schedules, name).JOBS} == set(JOBS.values())


def test_every_job_keeps_time_under_the_default_settings() -> None:
    settings = load_settings({"NSELF_HOME": "/nonexistent"})
    for job in JOBS.values():
        assert schedule_of(job, settings).cadence.describe()


def test_a_setting_that_is_no_duration_is_refused() -> None:
    settings = load_settings({"NSELF_HOME": "/nonexistent"})
    for wrong in ("no_such_setting", "mail_from"):
        with pytest.raises(InvalidValueError, match="no setting that holds a duration"):
            schedule_of(Job("a_job", task="slice.do_it", queue="usage", every_setting=wrong), settings)
