"""What can be known about the compose project without an engine: names, commands, settings, privileges."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stack.programs import FLOWER_VARIABLES, PROGRAMS
from billing_worker.worker.queues import FIXED_QUEUES, webhook_queues

FOLDER = Path(__file__).parents[3] / "compose"
ROOT = FOLDER.parent
PROJECT: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("nself-billing:"))
WORKERS = sorted(name for name in OURS if "worker" in SERVICES[name]["command"])

OTHERS_VARIABLES = {
    "REMAP_SIGTERM",
    "POSTGRES_USER",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "POSTGRES_INITDB_ARGS",
    "APPLICATION_PASSWORD",
    "REDIS_PASSWORD",
    "SANDBOX_HOST",
    "SANDBOX_PORT",
    "SANDBOX_STATE_DIR",
    "SANDBOX_WEBHOOK_URL",
    "SANDBOX_WEBHOOK_SECRET",
    *dict(FLOWER_VARIABLES),
}
"""Read by the servers, by Celery, Flower and the sandbox, not by our settings."""


def env_file(name: str) -> dict[str, str | None]:
    return dotenv_values(FOLDER / f"{name}.example", interpolate=False)


def variables(service: str) -> dict[str, str | None]:
    merged: dict[str, str | None] = {}
    for name in SERVICES[service].get("env_file", []):
        merged |= env_file(name)
    written: dict[str, str | None] = SERVICES[service].get("environment", {})
    return merged | written


@pytest.mark.parametrize("service", OURS)
def test_every_command_of_ours_is_a_module_that_exists(service: str) -> None:
    command = SERVICES[service]["command"]
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2]) is not None
    if command[2] == "celery":
        assert command[3:5] == ["-A", "billing_worker.app.celery_app"]
        assert command[5] in {"worker", "beat", "flower"}


def test_every_process_of_one_machine_has_a_service_and_the_other_way_round() -> None:
    local = {program.name.removesuffix("-1").removesuffix("-2") for program in PROGRAMS} - {"stripe-mock"}
    added = {"migrations", "sandbox", "stripe-mock", "nginx", "prometheus"}
    assert set(SERVICES) == local | added


def test_workers_serve_every_queue_once_under_their_own_name() -> None:
    served = [queue for name in WORKERS for queue in SERVICES[name]["command"][-1].split(",")]
    count = int(env_file("env/billing.env")["BILLING_WEBHOOK_QUEUES"] or 0)
    assert sorted(served) == sorted([*webhook_queues(count), *FIXED_QUEUES])
    for name in WORKERS:
        assert f"--hostname={name}@%h" in SERVICES[name]["command"]
        assert SERVICES[name]["healthcheck"]["test"][-1] == f"{name}@%h"


@pytest.mark.parametrize("service", SERVICES)
def test_every_variable_is_a_known_setting(service: str) -> None:
    known = {name.upper() for name in Settings.model_fields} | OTHERS_VARIABLES
    assert set(variables(service)) - known == set()


@pytest.mark.parametrize("service", [name for name in OURS if name != "sandbox"])
def test_the_examples_are_settings_that_work(service: str, tmp_path: Path) -> None:
    environ = {name: value or "" for name, value in variables(service).items()}
    settings = load_settings({**environ, "NSELF_HOME": str(tmp_path), "NSELF_ENV_FILE": str(tmp_path / ".env")})
    assert settings.stripe_mode == "test"


def test_a_service_gets_the_secrets_it_needs_and_no_others() -> None:
    secrets = {
        "POSTGRES_PASSWORD",
        "APPLICATION_PASSWORD",
        "REDIS_PASSWORD",
        "DATABASE_URL",
        "REDIS_URL",
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "FLOWER_BASIC_AUTH",
        "BILLING_API_KEYS",
        "SANDBOX_WEBHOOK_SECRET",
    }
    worker = {"DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"}
    beat = {"DATABASE_URL", "REDIS_URL"}
    assert {name: set(variables(name)) & secrets for name in SERVICES} == {
        "postgres": {"POSTGRES_PASSWORD", "APPLICATION_PASSWORD"},
        "redis": {"REDIS_PASSWORD"},
        "migrations": {"DATABASE_URL"},
        "receiver": {"DATABASE_URL", "REDIS_URL", "STRIPE_WEBHOOK_SECRET"},
        "http-api": {"DATABASE_URL", "REDIS_URL", "BILLING_API_KEYS"},
        **dict.fromkeys(WORKERS, worker),
        "beat-a": beat,
        "beat-b": beat,
        "flower": {"REDIS_URL", "FLOWER_BASIC_AUTH"},
        "sandbox": {"SANDBOX_WEBHOOK_SECRET"},
        "stripe-mock": set(),
        "nginx": set(),
        "prometheus": set(),
    }
    written = (FOLDER / "compose.yml").read_text()
    assert re.findall(r"(?:sk|rk)_(?:test|live)_|whsec_|://[^\s:]+:[^\s@]+@", written) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_restricted_watched_and_its_log_bounded(service: str) -> None:
    told = SERVICES[service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["logging"]["options"] == {"max-size": "20m", "max-file": "5"}
    assert told["restart"] == ("no" if service == "migrations" else "unless-stopped")
    assert ("cap_add" in told) == (service == "postgres")
    unwatched = told.get("healthcheck", {}).get("disable", False)
    assert unwatched == (service in {"migrations", "stripe-mock"})
    assert unwatched or told["healthcheck"]["test"]


def test_only_the_receiver_behind_tls_is_reachable_from_other_hosts() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    open_to_all = {
        name for name, ports in published.items() if not all(port.startswith("127.0.0.1:") for port in ports)
    }
    assert open_to_all == {"nginx"}
    assert PROJECT["networks"]["inside"] == {"internal": True}
    assert [SERVICES[name]["networks"] for name in ("postgres", "redis")] == [["inside"], ["inside"]]


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned_and_mounted_files_exist(service: str) -> None:
    image = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", SERVICES[service]["image"])
    assert re.search(r":v?\d+\.\d+", image), image
    for volume in SERVICES[service].get("volumes", []):
        source = str(volume).partition(":")[0]
        assert source in PROJECT["volumes"] or source.startswith("${") or (FOLDER / source).exists()


def test_the_image_is_built_from_what_exists_and_runs_as_nobody_in_particular() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    sources = [
        source for line in lines if line.startswith("COPY") and "--from" not in line for source in line.split()[1:-1]
    ]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    allowed = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert [source for source in sources if f"!{source}" not in allowed] == []
    assert [line for line in lines if line.startswith("FROM") and ":latest" in line] == []
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
