"""Learning-rate schedules: the rates of every update of a run, built, parsed or read from elsewhere.

``wsd(peak_lr=3e-4, warmup_steps=2160, decay_steps=4000, total_steps=24_000)`` and its siblings build the shapes that
recipes name; :func:`parse_schedule` reads them from text; ``from_array``, ``from_csv``, ``from_optax`` and
``from_torch`` take the rates of others; :func:`join` and :meth:`Schedule.prefix` put parts together.
"""

from bayeslr.schedules.builders import constant, cosine, cyclic, inverse_sqrt, linear, multistep, wsd
from bayeslr.schedules.composition import join
from bayeslr.schedules.family import ScheduleFamily, parse_family
from bayeslr.schedules.plans import Plans, named_schedules
from bayeslr.schedules.readers import from_array, from_csv, from_optax
from bayeslr.schedules.schedule import MAX_STEPS, MAX_UPDATES, Schedule
from bayeslr.schedules.spec import parse_schedule
from bayeslr.schedules.tails import Tail, parse_tail
from bayeslr.schedules.torch_scheduler import from_torch

__all__ = [
    "MAX_STEPS",
    "MAX_UPDATES",
    "Plans",
    "Schedule",
    "ScheduleFamily",
    "Tail",
    "constant",
    "cosine",
    "cyclic",
    "from_array",
    "from_csv",
    "from_optax",
    "from_torch",
    "inverse_sqrt",
    "join",
    "linear",
    "multistep",
    "named_schedules",
    "parse_family",
    "parse_schedule",
    "parse_tail",
    "wsd",
]
