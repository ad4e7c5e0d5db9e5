"""What is named in data exists in code: tasks, queues, schedules, settings."""

from __future__ import annotations

import re
from pathlib import Path

from billing_worker.app.slices import PROBES, TASK_MODULES
from billing_worker.app.tick import ALL_PROBES
from billing_worker.runtime.planned_settings import PLANNED_SETTINGS
from billing_worker.runtime.settings import CORRECTNESS_SWITCHES, Settings
from billing_worker.runtime.settings_page import render
from billing_worker.stack.programs import PROGRAMS
from billing_worker.worker.queues import FIXED_QUEUES, WEBHOOK_QUEUE_PREFIX
from billing_worker.worker.tasks import registry
from schedules import JOBS

ROOT = Path(__file__).parents[2]
WIRE_NAME = re.compile(r"[a-z_]+\.[a-z_]+")


def test_wire_names_are_slice_and_verb() -> None:
    assert TASK_MODULES
    names = [definition.name for definition in registry]
    assert [name for name in names if not WIRE_NAME.fullmatch(name)] == []


def test_probes_and_jobs_name_tasks_and_queues_that_exist() -> None:
    known = {definition.name for definition in registry}
    queues = {*FIXED_QUEUES, WEBHOOK_QUEUE_PREFIX}
    assert {probe.task for probe in ALL_PROBES} <= known
    assert {probe.queue for probe in ALL_PROBES} <= queues
    assert {job.task for job in JOBS.values()} <= known
    assert {job.queue for job in JOBS.values()} <= queues
    assert len({probe.name for probe in PROBES}) == len(PROBES)


def test_every_queue_has_a_worker_on_one_machine() -> None:
    served = {queue for program in PROGRAMS if "-Q" in program.command for queue in program.command[-1].split(",")}
    assert {"{webhook_queues}", *FIXED_QUEUES} == served


def test_the_page_of_settings_is_the_settings() -> None:
    page = ROOT / "docs" / "operations" / "settings.md"
    assert page.read_text() == render(), "python -m billing_worker.runtime.settings_page > docs/operations/settings.md"
    unexplained = [name for name, field in Settings.model_fields.items() if not field.description]
    assert [name for name in unexplained if name not in CORRECTNESS_SWITCHES] == []


def test_every_setting_acts_on_something_or_is_refused_as_planned() -> None:
    words = {
        word
        for package in ("billing_worker", "webhook_receiver", "schedules", "migrations")
        for path in (ROOT / package).rglob("*.py")
        if not path.stem.endswith("settings") and path.stem not in {"env_file", "_planned"}
        for word in re.findall(r"\w+", path.read_text())
    }
    used = {name for name in Settings.model_fields if {name, name.upper()} & words}
    idle = set(Settings.model_fields) - used - set(CORRECTNESS_SWITCHES) - {"billing_broker_url"}
    assert idle == set(PLANNED_SETTINGS) - used
    assert set(PLANNED_SETTINGS) <= set(Settings.model_fields)
