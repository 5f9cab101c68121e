"""Progress bars: on where a person watches, and of the kind that the place can show."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import tqdm

__all__ = ["is_watched", "progress_bar"]


def is_watched() -> bool:
    """Return whether a person is likely to watch: in a notebook or a terminal, and not in continuous integration."""
    # what a script or a service sets whose output nobody sees as it appears
    if os.environ.get("CI") or os.environ.get("TQDM_DISABLE"):
        return False
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _in_notebook() -> bool:
    """Tell whether the process is a notebook's kernel, without loading IPython where it is not."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None  # type: ignore[union-attr]
    return hasattr(shell, "kernel")


def progress_bar(*, total: int, desc: str, unit: str, progress: bool | None = None) -> "tqdm.tqdm[Any]":
    """Return a progress bar, to be used as a context.

    Parameters
    ----------
    total
        How many units there are.
    desc, unit
        What is done, and what is counted.
    progress
        Whether to show it. Default: where a person watches.

    Returns
    -------
    tqdm.tqdm
        A bar on stderr, or a widget in a notebook that can show one. It vanishes when it is done.
    """
    shown = is_watched() if progress is None else progress
    # without ipywidgets tqdm's widget would warn and show nothing
    widget = shown and _in_notebook() and find_spec("ipywidgets") is not None
    # at its first use: it brings IPython, which takes longer than all of bayeslr's own modules
    kind: type[tqdm.tqdm[Any]] = import_module("tqdm.notebook").tqdm if widget else tqdm.tqdm
    return kind(total=total, desc=desc, unit=unit, disable=not shown, leave=False)
