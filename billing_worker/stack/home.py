"""The stack's folder: what lies where, and what was chosen once (ports, passwords, place of the data)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from billing_worker.runtime.sources import STACK_FILE
from billing_worker.stack.binaries import SYSTEM_HOME, open_system_home
from billing_worker.stack.errors import FolderOwnedByAnotherError, LostStateError
from billing_worker.stack.identity import Identity, can_enter, server_identity
from billing_worker.stack.ports import choose_port
from billing_worker.stack.private_files import FOLDER_MODE, make_private_folder, write_private

PREFERRED_PORTS: dict[str, int | None] = {
    "postgres": None,
    "redis": None,
    "stripe-mock": 12111,
    "receiver": 8080,
    "http-api": 8090,
    "flower": 5555,
}
PASSWORDS = ("postgres-admin", "postgres", "redis", "flower", "http-api")
SOCKET_PATH_LIMIT = 100
"""The kernel takes 107 bytes; supervisord binds a temporary name with its pid appended first."""
ENTERABLE_MODE = 0o711
"""As root the server's user passes through this folder to its data; it still cannot list it."""


@dataclass(frozen=True, slots=True)
class StackState:
    """What was chosen once."""

    ports: dict[str, int]
    passwords: dict[str, str] = field(repr=False)
    stripe_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    postgres_data: str
    socket: str


@dataclass(frozen=True, slots=True)
class StackHome:
    """The stack's folder and the names in it."""

    root: Path

    @property
    def logs(self) -> Path:
        """Folder of the services' logs."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Folder of what lives as long as the processes."""
        return self.root / "run"

    @property
    def environment_file(self) -> Path:
        """Settings that the stack gives to every process and command."""
        return self.root / STACK_FILE

    @property
    def state_file(self) -> Path:
        """Ports, passwords and places."""
        return self.root / "stack.json"

    @property
    def configuration(self) -> Path:
        """Configuration of the supervisor."""
        return self.run / "supervisord.conf"

    @property
    def pid_file(self) -> Path:
        """Process id of the supervisor; left behind only when it was killed."""
        return self.run / "supervisord.pid"

    def ready_file(self, program: str) -> Path:
        """File that a program touches when it takes work."""
        return self.run / f"{program}.ready"

    def create(self) -> None:
        """Create the folders, closed to others.

        Raises: FolderOwnedByAnotherError when another user's stack lies here.
        """
        self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if (owner := self.root.stat().st_uid) != os.geteuid():
            raise FolderOwnedByAnotherError(folder=str(self.root), owner=owner, user=os.geteuid())
        self.root.chmod(FOLDER_MODE if server_identity() is None else ENTERABLE_MODE)
        for folder in (self.logs, self.run):
            make_private_folder(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one start or stop at a time work here; the others wait."""
        self.create()
        with (self.run / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read_state(self) -> StackState | None:
        """Return what was chosen, none before the first start."""
        if not self.state_file.exists():
            return None
        return StackState(**json.loads(self.state_file.read_text(encoding="utf-8")))

    def load_state(self) -> StackState:
        """Return what was chosen, choosing at the first start."""
        state = self.read_state()
        if state is None:
            state = self._choose()
            self.save_state(state)
        elif missing := set(PASSWORDS) - set(state.passwords):  # chosen by a release that had fewer services
            state = replace(state, passwords={**state.passwords, **_new_passwords(missing)})
            self.save_state(state)
        return state

    def save_state(self, state: StackState) -> None:
        """Keep what was chosen."""
        write_private(self.state_file, json.dumps(asdict(state), indent=1) + "\n")

    def _choose(self) -> StackState:
        return StackState(
            ports={},
            passwords=_new_passwords(PASSWORDS),
            # letters and digits only, as Stripe's own
            stripe_key=f"sk_test_{secrets.token_hex(24)}",
            webhook_secret=f"whsec_{secrets.token_hex(24)}",
            postgres_data=str(self._place_data()),
            socket=str(self._place_socket()),
        )

    def _place_data(self) -> Path:
        inside = self.root / "postgres"
        if inside.exists():
            raise LostStateError(folder=str(inside), state=str(self.state_file))
        identity = server_identity()
        if can_enter(self.root, identity):
            return inside
        # a fresh name each time: passwords of a cluster that an erased .nself left there are gone
        return open_system_home() / f"{self._digest()}-{secrets.token_hex(3)}" / "postgres"

    def _place_socket(self) -> Path:
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) < SOCKET_PATH_LIMIT:
            return inside
        return Path("/tmp") / f"nself-{os.geteuid()}-{self._digest()}" / "supervisor.sock"  # noqa: S108 - closed below

    def _digest(self) -> str:
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]


def _new_passwords(names: Iterable[str]) -> dict[str, str]:
    return {name: secrets.token_urlsafe(24) for name in names}


def open_data_parent(state: StackState) -> Identity | None:
    """Make the folder above the cluster enterable, and return who runs the server: the owner of data that exists."""
    data, identity = Path(state.postgres_data), server_identity()
    if identity is not None and data.exists() and (owner := data.stat()).st_uid != 0:
        identity = Identity(owner.st_uid, owner.st_gid)
    if data.parent.parent == SYSTEM_HOME:
        data.parent.mkdir(exist_ok=True)
        data.parent.chmod(ENTERABLE_MODE)
    return identity


def open_socket_folder(state: StackState) -> None:
    """Create the socket's folder and make sure it is ours alone: others can write in its parent.

    Raises: FolderOwnedByAnotherError when somebody else made it first.
    """
    folder = Path(state.socket).parent
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    if (owner := folder.lstat().st_uid) != os.geteuid() or folder.is_symlink():
        raise FolderOwnedByAnotherError(folder=str(folder), owner=owner, user=os.geteuid())
    folder.chmod(FOLDER_MODE)


def with_free_ports(state: StackState, fixed: dict[str, int]) -> StackState:
    """Choose every port that is not yet chosen or no longer free; an operator's own choice stands."""
    ports: dict[str, int] = {}
    for name, preferred in PREFERRED_PORTS.items():
        taken = frozenset(ports.values()) | frozenset(fixed.values())
        ports[name] = fixed.get(name) or choose_port(state.ports.get(name, preferred), avoid=taken)
    return replace(state, ports=ports)
