from __future__ import annotations

import socket

from billing_worker.runtime.settings import Settings
from billing_worker.worker.alive import is_alive
from tests.integration.worker.processes import Launcher, wait_for


def test_a_worker_and_a_beat_answer_while_they_live(launcher: Launcher, settings: Settings) -> None:
    worker = launcher.worker("maintenance")
    beat = launcher.beat()
    beat_node = f"celerybeat@{socket.gethostname()}"
    wait_for(
        lambda: is_alive(settings.broker_url, beat_node, patience_seconds=1), what="an answer of Beat", log=beat.log
    )
    assert is_alive(settings.broker_url, "w0@test") is True
    assert is_alive(settings.broker_url, "w9@test", patience_seconds=0.5) is False
    for process, node in ((worker, "w0@test"), (beat, beat_node)):
        process.kill()
        assert is_alive(settings.broker_url, node, patience_seconds=0.5) is False
    assert is_alive("redis://127.0.0.1:1/0", "w0@test", patience_seconds=0.5) is False
