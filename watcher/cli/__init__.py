"""The command line: parse, call, print. What a command needs is imported when it runs."""

from __future__ import annotations

import sys

from watcher.errors import ConfigError, WatcherError


def main() -> None:
    """Run `watcher`; exits 0 ok, 1 failed, 2 bad usage or configuration, 130 interrupted."""
    from watcher.cli.app import app

    try:
        app()
    except ConfigError as error:
        sys.exit(_say(error, 2))
    except WatcherError as error:
        sys.exit(_say(error, 1))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `watcher status | head`: the reader has seen enough
        sys.stderr.close()
        sys.exit(141)


def _say(error: WatcherError, status: int) -> int:
    sys.stderr.write(f"watcher: {error}\n" if "\n" not in str(error) else f"{error}\n")
    return status
