"""`watcher run`, only that it kills itself with SIGKILL around commits: `python crash_driver.py -c watcher.yaml`.

$CRASH_LEDGER names the file in which each kill is written down before it happens; a boundary that was survived
as often as `TIMES` says is passed unharmed. So one daemon after another gets a little further.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from watcher.config import load_config, load_config_rules, state_folder
from watcher.daemon import Daemon

TIMES = {"action": 8}
"""Deaths on each side of a change; once where nothing is said. An action goes through several states."""


class Ledger:
    """What this daemon and those before it died of, one `SIDE CHANGE` a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deaths = path.read_text().splitlines() if path.exists() else []

    def cross(self, change: str, side: str) -> None:
        """Die here, unless that was done often enough."""
        place = f"{side} {change}"
        if self._deaths.count(place) >= TIMES.get(change, 1):
            return
        with self._path.open("a") as file:
            file.write(f"{place}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run the daemon over the configuration that is the last argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    config = load_config(Path(sys.argv[-1]))
    ledger = Ledger(Path(os.environ["CRASH_LEDGER"]))
    return Daemon(config, load_config_rules(config), state_folder(config), boundary=ledger.cross).run()


if __name__ == "__main__":
    sys.exit(main())
