"""Names people write, and the processes they mean."""

from __future__ import annotations

import pytest

from billing_worker.stack.errors import UnknownServiceError
from billing_worker.stack.launch import command_of, past_the_proxy
from billing_worker.stack.programs import GROUPS, PROGRAMS, select_programs


def names(*requested: str) -> list[str]:
    return [program.name for program in select_programs(requested)]


def test_no_name_means_everything_in_starting_order() -> None:
    assert select_programs(()) == PROGRAMS
    levels = [program.level for program in PROGRAMS]
    assert levels == sorted(levels)


def test_a_service_means_all_its_processes() -> None:
    assert names("worker-webhooks") == ["worker-webhooks-1", "worker-webhooks-2"]
    assert names("beat", "mail") == ["mail", "beat-a", "beat-b"]


def test_one_process_of_a_service_can_be_named() -> None:
    assert names("worker-webhooks-2") == ["worker-webhooks-2"]


def test_billing_is_every_process_of_ours_and_no_server() -> None:
    selected = select_programs(("billing",))

    assert {program.service for program in selected} == set(GROUPS["billing"])
    assert all(program.part is None for program in selected)
    assert {program.service for program in PROGRAMS} - set(GROUPS["billing"]) == {
        "postgres",
        "redis",
        "stripe-mock",
        "flower",
    }


def test_a_service_may_be_named_beside_its_group() -> None:
    assert select_programs(("billing", "pdf-generator")) == select_programs(("billing",))


def test_an_unknown_service_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownServiceError, match=r"'kafka'.*usage-collector"):
        select_programs(("kafka",))


def test_names_are_unique() -> None:
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)


def test_the_webhook_workers_listen_to_as_many_queues_as_are_set() -> None:
    [program] = select_programs(("worker-webhooks-1",))

    command = command_of(program, {"BILLING_WEBHOOK_QUEUES": "3"}, run_folder="/run")

    assert command[-2:] == ["-Q", "webhooks.0,webhooks.1,webhooks.2"]
    assert command_of(program, {}, run_folder="/run")[-1] == "webhooks.0,webhooks.1,webhooks.2,webhooks.3"


def test_no_command_line_has_a_hole_left() -> None:
    for program in PROGRAMS:
        if program.name in {"postgres", "redis"}:  # built from their clusters
            continue
        words = command_of(program, {"FLOWER_PORT": "5555"}, run_folder="/run")
        assert not [word for word in words if "{" in word]


def test_calls_to_this_machine_pass_by_a_proxy() -> None:
    assert past_the_proxy({})["NO_PROXY"] == "localhost,127.0.0.1"
    assert past_the_proxy({"no_proxy": ".local"}) == {"no_proxy": ".local,localhost,127.0.0.1"}
