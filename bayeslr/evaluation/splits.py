"""What to fit and what to score: splits of curves into two parts.

Runs branch. A test run that shares its trunk with a training run has observations that the fit has seen, and a forecast
of them is no forecast. Every maker here finds them in the data (:mod:`bayeslr.curves.sharing`). Where runs are held out
automatically, a test run is scored only after the last step that it shares with a training run; where a query names the
test runs, they are scored as a whole, as published figures are, unless asked otherwise, and a warning says how much is
shared.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import CurveSet, LossCurve, Sizes
from bayeslr.curves.sharing import shared
from bayeslr.errors import CurveError, DataWarning

__all__ = ["Split", "by_query", "horizon", "leave_one_run_out", "leave_one_size_out"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Curves to fit, and curves to predict.

    Parameters
    ----------
    name
        Name of the split in tables and warnings.
    train
        The curves to fit.
    test
        The curves to predict.
    first_step
        First step to score, by run; None, or a run that is not named: from the end of its warm-up on.
    continued
        Runs whose beginning is in `train`, under the same name: they are predicted with their own effects.

    Raises
    ------
    CurveError
        If a run is in both parts without being continued, is continued but not in both, or has nothing to score.
    """

    name: str
    train: CurveSet
    test: CurveSet
    first_step: Mapping[str, int | None] = field(default_factory=dict)
    continued: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        both = set(self.train.names) & set(self.test.names)
        wrong = sorted(both ^ self.continued)
        if wrong:
            found = "both fitted and scored" if wrong[0] in both else "continued, but not in both parts"
            raise CurveError(
                f"split {self.name!r}: run {wrong[0]!r} is {found}; allowed: in both parts exactly what is continued"
            )
        for curve in self.test:
            if not self._scored(curve).any():
                raise CurveError(f"split {self.name!r}: run {curve.name!r} has no observation to score")

    @property
    def scored(self) -> CurveSet:
        """The test curves with the observations to score alone."""
        return CurveSet(curves=tuple(curve.take(self._scored(curve)) for curve in self.test))

    def _scored(self, curve: LossCurve) -> NDArray[np.bool_]:
        return curve.past_warmup & (curve.steps >= (self.first_step.get(curve.name) or 0))


def by_query(curves: CurveSet, *, train: str, test: str, skip_shared: bool = False) -> Split:
    """Split by two queries.

    Parameters
    ----------
    curves
        All curves.
    train, test
        Queries over :meth:`CurveSet.runs`, such as ``"split == 'train'"``, that select different runs; see
        :mod:`bayeslr.curves.query`.
    skip_shared
        Whether to leave out what test runs share with training runs. Default: they are scored as a whole after warm-up,
        as figures from elsewhere are.

    Returns
    -------
    Split
        The split.

    Raises
    ------
    CurveError
        If a query is not valid, both select one run, or nothing is left to score.

    Warns
    -----
    DataWarning
        If observations are scored that training runs hold too.
    """
    fitted, held_out = curves.select(train), curves.select(test)
    twice = [name for name in held_out.names if name in fitted.names]
    if twice:
        raise CurveError(f"split: train and test both select the run {twice[0]!r}; allowed: a run in one of them")
    return _split("split", fitted, held_out, skip_shared=skip_shared)


def leave_one_run_out(curves: CurveSet) -> tuple[Split, ...]:
    """Hold out each run in turn.

    Parameters
    ----------
    curves
        At least two curves.

    Returns
    -------
    tuple of Split
        One split a run, of its name; a run all of whose observations are in other runs has none.

    Raises
    ------
    CurveError
        If there is one curve.
    """
    if len(curves) < 2:
        raise CurveError("leave one run out: found one run; allowed: at least two")
    return _leave_out([(curve.name, (curve.name,)) for curve in curves], curves)


def leave_one_size_out(curves: CurveSet) -> tuple[Split, ...]:
    """Hold out all runs of each size in turn.

    Parameters
    ----------
    curves
        Curves of at least two sizes.

    Returns
    -------
    tuple of Split
        One split a size, named by its label.

    Raises
    ------
    CurveError
        If there is one size.
    """
    sizes = Sizes.of(curves)
    labels, index = sizes.labels, sizes.index(curves)
    if len(labels) < 2:
        raise CurveError(f"leave one size out: found one size ({labels[0]}); allowed: at least two")
    groups = [
        (label, tuple(name for name, size in zip(curves.names, index, strict=True) if size == k))
        for k, label in enumerate(labels)
    ]
    return _leave_out(groups, curves)


def horizon(curves: CurveSet, *, step: int | None = None, fraction: float | None = None) -> Split:
    """Fit what lies before a point of the training, and predict what comes after.

    Parameters
    ----------
    curves
        The curves, with their planned schedules.
    step
        Last step to fit.
    fraction
        The same as a share of each run's schedule, between 0 and 1. Give one of the two.

    Returns
    -------
    Split
        Runs that have begun by then are continued with their own effects. Runs that have ended are fitted alone; runs
        of which only warm-up was seen are predicted as new ones.

    Raises
    ------
    CurveError
        If not exactly one of `step` and `fraction` is given or it is not valid, or if nothing lies before or after.
    """
    if (step is None) == (fraction is None):
        raise CurveError("horizon: found both or none of step= and fraction=; allowed: one of them")
    if fraction is not None and not 0.0 < fraction < 1.0:
        raise CurveError(f"horizon: fraction={fraction}; allowed: between 0 and 1")
    if step is not None and step < 1:
        raise CurveError(f"horizon: step={step}; allowed: 1 or more")
    ends = [curve.schedule.total_steps * fraction if fraction is not None else float(step or 0) for curve in curves]
    before, after = [], []
    for curve, end in zip(curves, ends, strict=True):
        early = curve.past_warmup & (curve.steps <= end)
        if early.any():
            before.append(curve.take(curve.steps <= end))
        if (curve.past_warmup & (curve.steps > end)).any():
            after.append(curve)
    name = f"step {step}" if fraction is None else f"{100 * fraction:g}% of the run"
    if not before or not after:
        side = "after" if before else "before"
        raise CurveError(f"horizon: no observation lies {side} {name}; allowed: some before and some after")
    return _split(name, CurveSet(curves=tuple(before)), CurveSet(curves=tuple(after)))


def _leave_out(groups: Sequence[tuple[str, tuple[str, ...]]], curves: CurveSet) -> tuple[Split, ...]:
    splits = []
    for name, held_out in groups:
        test = tuple(curve for curve in curves if curve.name in held_out)
        train = CurveSet(curves=tuple(curve for curve in curves if curve.name not in held_out))
        kept = [curve for curve in test if _after_shared(curve, train).any()]
        if kept:
            splits.append(_split(name, train, CurveSet(curves=tuple(kept))))
        else:
            _tell_seen(name, [curve.name for curve in test])
    if not splits:
        raise CurveError("leave one out: every observation is in another run too; allowed: runs of their own")
    return tuple(splits)


def _split(name: str, train: CurveSet, test: CurveSet, *, skip_shared: bool = True) -> Split:
    """Make a split that scores only what the training runs do not hold."""
    continued = frozenset(train.names) & frozenset(test.names)
    if not skip_shared:
        split = Split(name=name, train=train, test=test, continued=continued)
        _tell_shared(split)
        return split
    kept = [curve for curve in test if _after_shared(curve, train).any()]
    if not kept:
        raise CurveError(f"split {name!r}: the test runs have no observation that the training runs do not hold too")
    if len(kept) < len(test):
        _tell_seen(name, [curve.name for curve in test if curve not in kept])
    first = {curve.name: _last_shared(curve, train) + 1 for curve in kept}
    return Split(
        name=name,
        train=train,
        test=CurveSet(curves=tuple(kept)),
        first_step={run: step if step > 1 else None for run, step in first.items()},
        continued=continued & {curve.name for curve in kept},
    )


def _last_shared(curve: LossCurve, train: CurveSet) -> int:
    """Return the last step of a curve that a training run holds too, or zero."""
    return max(int(curve.steps[shared(curve, other)].max(initial=0)) for other in train)


def _after_shared(curve: LossCurve, train: CurveSet) -> NDArray[np.bool_]:
    return curve.past_warmup & (curve.steps > _last_shared(curve, train))


def _tell_shared(split: Split) -> None:
    count = sum(len(curve) for curve in split.scored)
    both = sum(int((curve.steps <= _last_shared(curve, split.train)).sum()) for curve in split.scored)
    if both:
        message = f"split {split.name!r}: {both} of {count} scored observations are in training runs too; skip_shared"
        warnings.warn(f"{message} (--skip-shared) leaves them out", DataWarning, stacklevel=4)


def _tell_seen(split: str, runs: Sequence[str]) -> None:
    message = f"split {split!r}: not scored, all their observations are in training runs too: {', '.join(runs)}"
    warnings.warn(message, DataWarning, stacklevel=4)
