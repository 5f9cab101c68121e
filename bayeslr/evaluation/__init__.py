"""Evaluation: how good forecasts are on runs that were held out, and whether the inference recovers what made the data.

:func:`backtest` refits models on parts of the curves and scores what they say of the rest.
Its modules are loaded at their first use, so that a command that needs one does not wait for the others.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
