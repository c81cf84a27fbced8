"""Staying beside a child until it ends: its signals, its stops and its end are as if nobody were in between.

All signals are blocked and waited for one by one (sigwaitinfo(2)): no handler interrupts anything.
"""

from __future__ import annotations

import contextlib
import os
import signal

from .terminal import Terminal

_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS")
_TERMINAL_ACCESS = frozenset((signal.SIGTTIN, signal.SIGTTOU))
_OURS = frozenset((signal.SIGCHLD, signal.SIGCONT)) | _TERMINAL_ACCESS
_NEVER = frozenset(getattr(signal, name) for name in ("SIGKILL", "SIGSTOP", *_FAULTS))
PASSED: frozenset[int] = frozenset(signal.valid_signals()) - _NEVER - _OURS
"""Signals that the launcher hands on: all but those that only mean itself."""
BLOCKED = PASSED | _OURS
_AWAITED = PASSED | {signal.SIGCHLD, signal.SIGCONT}
_SI_KERNEL = 0x80
"""`si_code` of what the terminal sends, which it sends to a whole process group (sigaction(2))."""


class Beside:
    """A launcher beside its child, which leads a process group of its own; signals are `BLOCKED` already."""

    def __init__(self, child: int, terminal: Terminal, *, wants_terminal: bool) -> None:
        self._child = child
        self._terminal = terminal
        self._wants_terminal = wants_terminal

    def until_it_ends(self) -> int:
        """Hand signals on and stop and go on with the child; give its wait status (wait(2)) once it has ended."""
        while True:
            info = signal.sigwaitinfo(_AWAITED)
            if info.si_signo == signal.SIGCHLD:
                status = self._look()
                if status is not None:
                    self._terminal.take_back(self._child)
                    return status
            elif info.si_signo == signal.SIGCONT:
                self._resume()
            else:
                self._hand_on(info)

    def _look(self) -> int | None:
        """Take note of what became of the child; one SIGCHLD may stand for several changes."""
        while True:
            pid, status = os.waitpid(self._child, os.WNOHANG | os.WUNTRACED)
            if pid == 0:
                return None
            if not os.WIFSTOPPED(status):
                return status
            self._child_stopped(os.WSTOPSIG(status))

    def _hand_on(self, info: signal.struct_siginfo) -> None:
        """Send a signal to whom it would have reached: the terminal and a shell that ends mean the whole group."""
        means_all = info.si_code == _SI_KERNEL or info.si_signo == signal.SIGHUP
        with contextlib.suppress(OSError):  # it is another user's now
            (os.killpg if means_all else os.kill)(self._child, info.si_signo)

    def _child_stopped(self, number: int) -> None:
        """Stop as the child did, so that the shell sees it; a child that only lacks the terminal gets it."""
        holder = self._terminal.holder()
        in_front = holder is not None and holder in (self._child, os.getpgrp())
        if number in _TERMINAL_ACCESS and in_front:
            self._wants_terminal = True
            self._resume()
        elif number in _TERMINAL_ACCESS or (in_front and number != signal.SIGSTOP):
            self._stop(number, 0)
        elif number != signal.SIGSTOP or in_front:  # SIGSTOP from elsewhere: who sent it goes on with it, too
            self._stop(number, os.getpid())

    def _stop(self, number: int, whom: int) -> None:
        """Stop this process (or, with 0, its whole group, as the terminal does) until it is continued."""
        os.kill(whom, number)
        if number != signal.SIGSTOP:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        # No shell could continue an orphaned group, so the system does not stop it, nor must the child stay stopped.
        if number == signal.SIGTSTP and signal.SIGCONT not in signal.sigpending():
            self._resume()

    def _resume(self) -> None:
        """Let the child go on; where we are in the foreground, it is the one to be there."""
        if self._wants_terminal and self._terminal.is_ours():
            self._terminal.give(self._child)
        with contextlib.suppress(OSError):
            os.killpg(self._child, signal.SIGCONT)
