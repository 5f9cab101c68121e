"""What a reader sees: pictures (:mod:`~bayeslr.report.plots`), tables (:mod:`~bayeslr.report.tables`), and the report.

``bl.report(posterior, plans, seed=0).save("report.html")`` writes a page to send: the room itself can be called, which
calls :func:`bayeslr.report.html.build_report`. Its modules are loaded at their first use: a command that prints a table
does not wait for matplotlib.
"""

import sys
from types import ModuleType
from typing import Any

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Room(ModuleType):
    """A room that can be called."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return self.html.build_report(*arguments, **settings)


sys.modules[__name__].__class__ = _Room
