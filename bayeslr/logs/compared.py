"""Whether the runs of a set have the same kind of loss."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from bayeslr.logs.columns import data_words, plain_name
from bayeslr.logs.limits import listed, shown
from bayeslr.logs.model_sizes import SMALLEST_MODEL, shape_in_name, sizes_in_name
from bayeslr.logs.tidy import TidyLog

__all__ = ["mixed_kinds", "odd_peaks", "odd_sizes", "other_units", "own_steps"]

_WORDS = {
    "validation": "the validation loss",
    "test": "the test loss",
    "training": "the training loss",
    "plain": "a loss that does not say on what it was measured (often the training loss)",
}
_APART = 1.9
_OTHER_RATES = 50.0
"""Peak rates with nothing between them that differ by more than this have different units, or optimisers."""
_OTHER_BATCH = 1000.0
"""Batches that differ by more than this have different units."""


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
        return _other_data(logs)
    kinds = ", ".join(examples.values())
    return f"the runs have different kinds of loss: {kinds}; name one that all have with `loss` (--loss)"


def _other_data(logs: Mapping[str, TidyLog]) -> str:
    """Return what to say where the losses of two runs were measured on different data, as their names have it."""
    examples: dict[frozenset[str], str] = {}
    for run, log in logs.items():
        data = data_words(log.loss_column) - set(plain_name(run).split("_"))
        if data:
            examples.setdefault(data, f"{shown(log.loss_column, 40)} in run {shown(run, 40)}")
    if len(examples) < 2:
        return ""
    return (
        f"the runs have losses on different data: {', '.join(list(examples.values())[:3])}; name one that all have "
        "with `loss` (--loss)"
    )


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
    ratios = _ratios(logs)
    bits = [run for run, ratio in ratios.items() if abs(ratio * np.log(2.0) - 1.0) < 0.015]
    if len(bits) == 1 and len(logs) > 1:
        return (
            f"the loss of run {shown(bits[0], 40)} is {ratios[bits[0]]:.4g} times that of the other runs: is it in "
            "bits (1.443 times as many as nats)?"
        )
    odd = {run: ratio for run, ratio in ratios.items() if abs(np.log(ratio)) > np.log(_APART)}
    if not odd or (2 * len(odd) > len(logs) and len(logs) > 2):
        return ""
    # of two runs the higher one is the sum
    run = max(odd, key=lambda name: odd[name] if len(logs) == 2 else abs(np.log(odd[name])))
    log = logs[run]
    return (
        f"the loss of run {shown(run, 40)} ends at {log.loss[-1]:.4g}, {odd[run]:.3g} times that of the other runs: "
        "another unit, such as a sum over accumulation steps, a perplexity or bits, or did it diverge?"
    )


def odd_peaks(peaks: Mapping[str, float]) -> str:
    """Return what to say where the peak rates of the runs fall into two groups that are far apart.

    Parameters
    ----------
    peaks
        The peak rate of each run, by its name.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    known = sorted((peak, run) for run, peak in peaks.items() if peak > 0)
    for (low, below), (high, above) in pairwise(known):
        if high >= _OTHER_RATES * low:
            return (
                f"the peak rates of the runs lie far apart: {low:.4g} in run {shown(below, 40)}, {high:.4g} in run "
                f"{shown(above, 40)} and none between: percents, multiples of a peak, or the rates of another "
                "optimiser in some of them?"
            )
    return ""


def own_steps(logs: Mapping[str, TidyLog], sizes: Mapping[str, object]) -> str:
    """Return what to say where a run begins with a loss that the others of its size reach much later.

    Parameters
    ----------
    logs
        The logs of the runs that are no branches, by their names.
    sizes
        Size of each run.

    Returns
    -------
    str
        One sentence, or nothing.
    """
    for run, log in list(logs.items())[:200]:
        first, loss = int(log.steps[0]), float(log.loss[0])
        others = [other for name, other in logs.items() if name != run and sizes[name] == sizes[run]]
        others = [other for other in others if other.steps[0] <= first <= other.steps[-1] and other.steps.size >= 3]
        # another log of the same kind begins as low, and says nothing
        others = [other for other in others if other.loss[0] > 1.1 * loss]
        if not others or loss <= 0 or log.steps.size < 3:
            continue
        there = np.array([np.interp(first, other.steps, other.loss) for other in others])
        later = [other.steps[np.argmax(other.loss <= loss)] for other in others if (other.loss <= loss).any()]
        if (there > 1.1 * loss).all() and later and min(later) >= 5 * first and min(later) >= 0.1 * log.steps[-1]:
            return (
                f"run {shown(run, 40)} begins at step {first} with a loss of {loss:.4g}, which the other runs of its "
                f"size reach about step {min(later)}: if it counts its own steps from a checkpoint, name its `parent` "
                "and the `branch_step`"
            )
    return ""


def odd_sizes(runs: Mapping[str, tuple[str | None, float | None]], batches: Mapping[str, float | None]) -> list[str]:
    """Return what is odd about the sizes of models and batches.

    Parameters
    ----------
    runs
        Label and number of parameters of each run.
    batches
        Batch size of each run.

    Returns
    -------
    list of str
        Sentences.
    """
    found = []
    small = [f"{params:g}" for _, params in runs.values() if params is not None and params < SMALLEST_MODEL]
    if small:
        found.append(
            f"params {listed(dict.fromkeys(small), 3)}: fewer than any language model has; in millions or billions? "
            "Write 125M or 1.3B"
        )
    if all(size is None and params is None for size, params in runs.values()):
        said = dict.fromkeys(sizes[0] for run in runs if len(sizes := sizes_in_name(run)) == 1)
        if len(said) < 2:
            said = dict.fromkeys(shape for run in runs if (shape := shape_in_name(run)))
        if len(said) > 1:
            found.append(
                f"the names of the runs say sizes ({listed(said, 3)}), which are not read: all runs count as "
                "one size; give `params` or `size`"
            )
    known = [batch for batch in batches.values() if batch]
    if known and max(known) > _OTHER_BATCH * min(known):
        found.append(
            f"batch sizes range from {min(known):g} to {max(known):g}: sequences in some runs and tokens in others? "
            "Give all in one unit"
        )
    return found


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
