"""Ctrl-C is obeyed at once, also while a compiler or a compiled program runs, which do not look up from their work."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Final

__all__ = ["INTERRUPTED", "obeyed_interrupts"]

INTERRUPTED: Final = 130
"""Exit code of an interrupted command."""
_PATIENCE: Final = 2.0
"""Seconds that Python has to stop by itself; afterwards the process is ended."""


@contextlib.contextmanager
def obeyed_interrupts() -> Iterator[None]:
    """End the process two seconds after an interrupt, if it has not stopped by then.

    Python turns a signal into an exception when its main thread gets back to it. The signal's handler in C writes a
    byte to a socket right away, on which a thread waits here.
    """
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    done = threading.Event()
    threading.Thread(target=_watch, args=(ours, done), daemon=True, name="bayeslr-interrupt").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        done.set()
        # ends the thread's wait
        theirs.close()


def _watch(ours: socket.socket, done: threading.Event) -> None:
    """Wait for an interrupt, then for the command to stop."""
    with ours:
        while number := ours.recv(1):
            if number[0] == signal.SIGINT and not done.wait(_PATIENCE):
                os.write(2, b"error: interrupted\n")
                os._exit(INTERRUPTED)
