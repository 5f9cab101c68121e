"""What a reader sees: pictures (:mod:`~bayeslr.report.plots`) and tables (:mod:`~bayeslr.report.tables`).

Its modules are loaded at their first use: a command that prints a table does not wait for matplotlib.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
