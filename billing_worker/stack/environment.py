"""What the stack tells every process: addresses, generated keys, ports (`stack.env`, mode 600)."""

from __future__ import annotations

from collections.abc import Mapping

from billing_worker.stack.home import StackHome, StackState
from billing_worker.stack.ports import LOOPBACK
from billing_worker.stack.postgres import APPLICATION_ROLE, postgres_url
from billing_worker.stack.private_files import write_private
from billing_worker.stack.redis import redis_url

PORT_VARIABLES = {
    "receiver": "BILLING_RECEIVER_PORT",
    "http-api": "BILLING_API_PORT",
    "flower": "FLOWER_PORT",
    "stripe-mock": "SANDBOX_PORT",
}
WEBHOOK_PATH = "/webhooks/stripe"


def fixed_ports(given: Mapping[str, str]) -> dict[str, int]:
    """Return the ports an operator has chosen; what is not a number is for Settings to refuse."""
    return {
        name: int(given[variable])
        for name, variable in PORT_VARIABLES.items()
        if given.get(variable, "").isascii() and given.get(variable, "").isdigit()
    }


def stack_environment(home: StackHome, state: StackState) -> dict[str, str]:
    """Return the settings of all embedded parts; which of them count is resolved where they are read."""
    ports, passwords = state.ports, state.passwords
    receiver = f"http://{LOOPBACK}:{ports['receiver']}"
    return {
        "DATABASE_URL": postgres_url(role=APPLICATION_ROLE, password=passwords["postgres"], port=ports["postgres"]),
        "REDIS_URL": redis_url(port=ports["redis"], password=passwords["redis"]),
        "STRIPE_SECRET_KEY": state.stripe_key,
        "STRIPE_WEBHOOK_SECRET": state.webhook_secret,
        "STRIPE_API_BASE": f"http://{LOOPBACK}:{ports['stripe-mock']}",
        "STRIPE_RATE_LIMIT": "1000",  # the sandbox's own limits are off unless asked for
        "STRIPE_MOCK_ENABLED": "true",
        "SANDBOX_PORT": str(ports["stripe-mock"]),
        "SANDBOX_STATE_DIR": str(home.root / "sandbox"),
        "SANDBOX_WEBHOOK_URL": receiver + WEBHOOK_PATH,
        "SANDBOX_WEBHOOK_SECRET": state.webhook_secret,
        "BILLING_RECEIVER_PORT": str(ports["receiver"]),
        "BILLING_API_PORT": str(ports["http-api"]),
        "BILLING_API_KEYS": f"local:{passwords['http-api']}",
        "BILLING_COLLECTOR": "nself",  # the sandbox's own retries are off: somebody has to collect
        "BILLING_LOG_DIR": str(home.logs),
        "FLOWER_PORT": str(ports["flower"]),
        "FLOWER_BASIC_AUTH": f"nself:{passwords['flower']}",
    }


def write_stack_environment(home: StackHome, state: StackState) -> None:
    """Write `stack.env`, where processes and commands of any shell find it."""
    lines = [f"{name}='{value}'" for name, value in stack_environment(home, state).items()]
    write_private(
        home.environment_file, "# written by `nself start`, read by every process\n" + "\n".join(lines) + "\n"
    )
