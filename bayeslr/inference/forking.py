"""JAX has threads, and a fork copies a process without them: its child would wait for them for ever."""

import os

from bayeslr.errors import BayeslrError

__all__ = ["require_unforked"]

_used_in: list[int] = []
"""The process that first used JAX here."""


def require_unforked() -> None:
    """Refuse to compute in a child of a process that has used JAX.

    Raises
    ------
    BayeslrError
        If an ancestor of this process had computed before it was forked.
    """
    if not _used_in:
        _used_in.append(os.getpid())
    if _used_in[0] != os.getpid():
        raise BayeslrError(
            "this process was forked from one that had computed before, in which JAX would wait for ever; allowed: "
            "processes that start anew, as by multiprocessing.get_context('spawn')"
        )
