"""The controlling terminal, and which process group it listens to."""

from __future__ import annotations

import os


class Terminal:
    """The terminal that this process could be interrupted from; there need not be one.

    Whoever changes its foreground group from the background has to block SIGTTOU before.
    """

    def __init__(self) -> None:
        try:
            self.descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            self.descriptor = -1

    def holder(self) -> int | None:
        """Give the process group in the foreground; None without a terminal, or once it was hung up."""
        try:
            return os.tcgetpgrp(self.descriptor)
        except OSError:
            return None

    def is_ours(self) -> bool:
        """Tell whether this process's own group is in the foreground."""
        return self.holder() == os.getpgrp()

    def give(self, group: int) -> bool:
        """Put a process group into the foreground; False where that cannot be."""
        try:
            os.tcsetpgrp(self.descriptor, group)
        except OSError:
            return False
        return True

    def take_back(self, group: int) -> None:
        """Put this process's own group into the foreground again if `group` is there."""
        if self.holder() == group:
            self.give(os.getpgrp())
