"""Whether the runs of a set have the same kind of loss."""

from collections.abc import Mapping

import numpy as np

from bayeslr.logs.limits import shown
from bayeslr.logs.tidy import TidyLog

__all__ = ["mixed_kinds", "other_units"]

_WORDS = {
    "validation": "the validation loss",
    "test": "the test loss",
    "training": "the training loss",
    "plain": "a loss that does not say on what it was measured (often the training loss)",
}
_APART = 1.9


def mixed_kinds(logs: Mapping[str, TidyLog]) -> str:
    """Return what to say where one run has a validation loss and another the training loss.

    Parameters
    ----------
    logs
        The logs by the names of their runs.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    examples: dict[str, str] = {}
    for run, log in logs.items():
        examples.setdefault(log.kind, f"run {shown(run, 40)} has {_WORDS[log.kind]} ({shown(log.loss_column, 40)})")
    if len(examples) < 2:
        return ""
    return f"the runs have different kinds of loss: {', '.join(examples.values())}; name one that all have with `loss`"


def other_units(logs: Mapping[str, TidyLog]) -> str:
    """Return what to say where the losses of a run are many times those of the others.

    Parameters
    ----------
    logs
        The logs by the names of their runs.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    odd = {run: ratio for run, ratio in _ratios(logs).items() if abs(np.log(ratio)) > np.log(_APART)}
    if not odd or 2 * len(odd) > len(logs) + 1:
        return ""
    # of two runs the higher one is the sum
    run = max(odd, key=lambda name: odd[name] if len(logs) == 2 else abs(np.log(odd[name])))
    log = logs[run]
    return (
        f"the loss of run {shown(run, 40)} ends at {log.loss[-1]:.4g}, {odd[run]:.3g} times that of the other runs: "
        "another unit, such as a sum over accumulation steps, a perplexity or bits?"
    )


def _ratios(logs: Mapping[str, TidyLog]) -> dict[str, float]:
    """Return the loss of each run as a multiple of that of the others at the same steps, where there are any."""
    most = list(logs)[:200]
    found = {}
    for run in most:
        log = logs[run]
        others = [logs[name] for name in most if name != run]
        common = [other for other in others if other.steps[-1] >= log.steps[0] and other.steps[0] <= log.steps[-1]]
        steps = log.steps[:: max(1, log.steps.size // 50)]
        ratios = []
        for other in common:
            inside = steps[(steps >= other.steps[0]) & (steps <= other.steps[-1])]
            mine = np.interp(inside, log.steps, log.loss)
            theirs = np.interp(inside, other.steps, other.loss)
            good = (mine > 0) & (theirs > 0)
            if good.any():
                ratios.append(float(np.median(mine[good] / theirs[good])))
        if ratios:
            found[run] = float(np.median(ratios))
    return found
