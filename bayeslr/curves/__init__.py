"""Loss curves: validated, with their schedules, sizes and branches.

:class:`LossCurve` is one run, :class:`CurveSet` the runs of an experiment. Curves are read from logs by
:mod:`bayeslr.logs`; :meth:`CurveSet.from_frame` builds them from a table in memory.
"""

from bayeslr.curves.curve import LossCurve, Setup
from bayeslr.curves.curveset import CurveSet
from bayeslr.curves.sizes import Sizes

__all__ = ["CurveSet", "LossCurve", "Setup", "Sizes"]
