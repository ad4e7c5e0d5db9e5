"""Replay stored events by id, type, object, time range or status: `nself billing webhook replay` as a script.

python scripts/replay_events.py evt_123 evt_124
python scripts/replay_events.py --status failed --since 24h --dry-run
python scripts/replay_events.py --type invoice.paid --since 2026-01-01 --until 2026-02-01 --yes
"""

from __future__ import annotations

import os
import sys

from billing_worker.cli._errors import run_command
from billing_worker.cli._invocation import Invocation
from billing_worker.cli.billing.webhook.replay import command

if __name__ == "__main__":
    invocation = Invocation(environ=dict(os.environ))
    sys.exit(run_command(command, sys.argv[1:], program="scripts/replay_events.py", invocation=invocation))
