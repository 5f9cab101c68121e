"""JAX has threads, and a fork copies a process without them: its child would wait for them for ever.

Imported by the front door, so that a fork after any use of JAX is noticed, also of JAX by itself.
"""

import os
import sys
from pathlib import Path

from bayeslr.errors import BayeslrError

__all__ = ["require_unforked"]

_THREADS = Path("/proc/self/task")

_without_threads = False
"""Whether this process has JAX as its parent used it, without the threads."""


def require_unforked() -> None:
    """Refuse to compute in a child of a process that has used JAX: asked on the way to every computation.

    Raises
    ------
    BayeslrError
        If JAX had been used in an ancestor of this process before it was forked.
    """
    if _without_threads:
        raise BayeslrError(
            "this process was forked from one that had used JAX before, in which JAX would wait for ever; allowed: "
            "processes that start anew, as by multiprocessing.get_context('spawn')"
        )


def _in_use() -> bool:
    """Return whether JAX has started its devices, and with them its threads.

    JAX has a function for that, which takes a lock that another thread may hold while this process is forked.
    """
    return bool(getattr(sys.modules.get("jax._src.xla_bridge"), "_backends", None))


def _after_fork() -> None:
    """Note in a new child what its parent had done."""
    global _without_threads
    _without_threads = _without_threads or _in_use()


def _has_lost_threads() -> bool:
    """Return whether JAX is in use and there is one thread alone, as in a child of before the library was imported."""
    try:
        return _in_use() and len(list(_THREADS.iterdir())) == 1
    except OSError:
        # no Linux
        return False


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
    _without_threads = _has_lost_threads()
