"""PyTorch schedulers: the rates that a scheduler would give its optimiser, recorded by stepping it.

PyTorch is not imported. A scheduler is any object with the methods of ``torch.optim.lr_scheduler.LRScheduler`` that are
used here, so that its own recursion, and no copy of it, makes the rates.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Protocol

import numpy as np

from bayeslr.errors import ScheduleError
from bayeslr.schedules.arguments import as_count, as_total_steps, reason
from bayeslr.schedules.schedule import Schedule

__all__ = ["TorchScheduler", "from_torch"]


class TorchScheduler(Protocol):
    """What is used of ``torch.optim.lr_scheduler.LRScheduler``."""

    optimizer: Any
    """The optimiser, with ``param_groups``: a list of dicts with the rate under ``'lr'``."""

    def step(self) -> None:
        """Set the rate of the next update."""

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scheduler's state."""


def from_torch(scheduler: TorchScheduler, total_steps: int, *, group: int = 0, warmup_steps: int = -1) -> Schedule:
    """Record the rates of a PyTorch scheduler.

    The scheduler is stepped ``total_steps - 1`` times. Afterwards its state and all settings of its optimiser (rates,
    and momenta where it cycles them) are what they were before, also where an error ended the recording. The optimiser
    itself is never stepped.

    Parameters
    ----------
    scheduler
        A scheduler that is stepped once per update; new, since the recording begins with its present rate. Not
        ``ReduceLROnPlateau``, whose rates are no function of the update.
    total_steps
        Number of updates, at least 1.
    group
        Index of the parameter group whose rate is recorded. Default 0, the first.
    warmup_steps
        Number of warm-up updates. Default -1: detected, as :class:`Schedule` describes.

    Returns
    -------
    Schedule
        ``lr[i]`` is the group's rate after ``i`` steps of the scheduler, that is at update ``i``.

    Raises
    ------
    ScheduleError
        If the object lacks one of the methods, there is no such group, or the scheduler fails at a step.
    """
    where = f"schedule from a {type(scheduler).__name__}"
    T = as_total_steps(where, total_steps)
    for name in ("optimizer", "step", "state_dict", "load_state_dict"):
        if not hasattr(scheduler, name):
            raise ScheduleError(f"{where}: it has no {name!r}; allowed: a torch.optim.lr_scheduler.LRScheduler")
    groups = scheduler.optimizer.param_groups
    index = as_count(where, "group", group, low=0, high=len(groups) - 1, because="the last parameter group")
    rates = np.empty(T)
    with _restored(scheduler), warnings.catch_warnings():
        # The order of the two step() calls does not matter where the optimiser is not stepped; the other warning is
        # PyTorch's own use of an argument that it deprecates.
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)`", UserWarning)
        warnings.filterwarnings("ignore", r"The epoch parameter in `scheduler\.step\(\)`", UserWarning)
        rates[0] = float(groups[index]["lr"])
        for i in range(1, T):
            try:
                scheduler.step()
                rates[i] = float(groups[index]["lr"])
            except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise ScheduleError(
                    f"{where}: step {i} failed ({reason(error)}); allowed: total_steps within the scheduler's "
                    "range, and a rate that depends on the step alone"
                ) from error
    return Schedule(lr=rates, warmup_steps=warmup_steps)


@contextmanager
def _restored(scheduler: TorchScheduler) -> Iterator[None]:
    """Restore the scheduler's state and the settings of its optimiser's groups on leaving."""
    groups = scheduler.optimizer.param_groups
    state = deepcopy(scheduler.state_dict())
    settings = [{key: value for key, value in group.items() if key != "params"} for group in groups]
    values = deepcopy(settings)
    try:
        yield
    finally:
        scheduler.load_state_dict(state)
        for group, setting, value in zip(groups, settings, values, strict=True):
            for key in group.keys() - setting.keys() - {"params"}:
                del group[key]
            for key, original in setting.items():
                # A rate held in a tensor is changed in place, and others may hold the same tensor.
                if hasattr(original, "copy_"):
                    original.copy_(value[key])
                    group[key] = original
                else:
                    group[key] = value[key]
