"""What is chosen once, and what is closed to others."""

from __future__ import annotations

import os
import shlex
import socket
import stat
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.stack.environment import fixed_ports, stack_environment
from billing_worker.stack.errors import LostStateError
from billing_worker.stack.home import PREFERRED_PORTS, StackHome, with_free_ports
from billing_worker.stack.ports import choose_port
from billing_worker.stack.supervision import supervisor_configuration


def test_what_was_chosen_stays_chosen(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()

    first = home.load_state()

    assert home.load_state() == first
    assert stat.S_IMODE(home.state_file.stat().st_mode) == 0o600
    assert len(set(first.passwords.values())) == len(first.passwords)
    assert first.stripe_key.startswith("sk_test_")


def test_a_folder_of_a_release_with_fewer_services_gets_what_is_new(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()
    state = home.load_state()
    older = {name: password for name, password in state.passwords.items() if name != "http-api"}
    home.save_state(replace(state, passwords=older))

    renewed = home.load_state()

    assert {name: renewed.passwords[name] for name in older} == older
    assert len(renewed.passwords["http-api"]) == 32
    assert home.load_state() == renewed


def test_no_secret_is_shown_by_accident(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()
    state = home.load_state()

    shown = repr(state)

    for secret in (*state.passwords.values(), state.stripe_key, state.webhook_secret):
        assert secret not in shown


def test_folders_cannot_be_listed_by_others(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()

    assert stat.S_IMODE(home.root.stat().st_mode) & 0o066 == 0
    for folder in (home.logs, home.run):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_database_without_its_passwords_is_not_overwritten(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()
    (home.root / "postgres").mkdir()

    with pytest.raises(LostStateError, match=r"stack\.json"):
        home.load_state()


def test_a_taken_port_is_chosen_again_and_a_free_one_kept(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()
    first = with_free_ports(home.load_state(), {})
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", first.ports["redis"]))
        stranger.listen()

        second = with_free_ports(first, {})

    assert second.ports["redis"] != first.ports["redis"]
    assert second.ports["postgres"] == first.ports["postgres"]
    assert len(set(second.ports.values())) == len(PREFERRED_PORTS)


def test_an_operators_port_stands(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "home")
    home.create()
    port = choose_port()

    state = with_free_ports(home.load_state(), fixed_ports({"BILLING_RECEIVER_PORT": str(port), "FLOWER_PORT": "x"}))

    assert state.ports["receiver"] == port
    assert f":{port}/webhooks/stripe" in stack_environment(home, state)["SANDBOX_WEBHOOK_URL"]


def test_a_deep_folder_gets_a_short_socket_path(tmp_path: Path) -> None:
    deep, shallow = StackHome(tmp_path / ("d" * 120)), StackHome(Path("/x"))
    deep.create()

    path = deep.load_state().socket

    assert len(path) < 100
    assert f"nself-{os.geteuid()}-" in path
    assert len(str(shallow.run / "supervisor.sock")) < 100


def test_the_supervisors_configuration_survives_odd_paths_and_holds_no_secret(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "a b%d'e")
    home.create()
    state = with_free_ports(home.load_state(), {})

    text = supervisor_configuration(home, state, {"redis": ["/bin/redis server", "100%", "x'y"]})

    parser = RawConfigParser(inline_comment_prefixes=(";",), strict=True)
    parser.read_string(text)
    assert "program:postgres" not in parser
    assert shlex.split(parser["program:redis"]["command"].replace("%%", "%")) == ["/bin/redis server", "100%", "x'y"]
    assert parser["supervisord"]["pidfile"].replace("%%", "%") == str(home.pid_file)
    for secret in (*state.passwords.values(), state.stripe_key, state.webhook_secret):
        assert secret not in text


def test_a_path_the_configuration_cannot_carry_is_refused(tmp_path: Path) -> None:
    home = StackHome(tmp_path / "a;b")
    home.create()

    with pytest.raises(InvalidValueError, match="semicolon"):
        supervisor_configuration(home, home.load_state(), {})
