"""The curves of an experiment: several runs, often of several sizes, some of them branches of others."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves.counts import size_label
from bayeslr.curves.curve import LossCurve
from bayeslr.curves.frames import curves_from_frame
from bayeslr.curves.selection import chosen_rows
from bayeslr.curves.sharing import owned, trunks
from bayeslr.curves.sizes import Sizes
from bayeslr.curves.spikes import spikes
from bayeslr.curves.thinning import thin_masks
from bayeslr.errors import CurveError
from bayeslr.markup import box, paragraph, table
from bayeslr.schedules import MAX_UPDATES, Schedule
from bayeslr.written import decimals

__all__ = ["CurveSet"]

_SHOWN = 20
"""Rows that a notebook shows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveSet:
    """Loss curves with different names, in a fixed order.

    Parameters
    ----------
    curves
        The curves, at least one, each with a name of its own. Of runs that share a prefix the first one owns it.

    Raises
    ------
    CurveError
        If there is no curve, if something else is among them, or if two have the same name.
    """

    curves: tuple[LossCurve, ...]

    def __post_init__(self) -> None:
        curves = tuple(self.curves)
        if not curves:
            raise CurveError("curve set: there are no curves; allowed: at least one")
        for curve in curves:
            if not isinstance(curve, LossCurve):
                raise CurveError(f"curve set: found a {type(curve).__name__}; allowed: LossCurve")
        names = [curve.name for curve in curves]
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise CurveError(f"curve set: {names.count(twice)} curves are named {twice!r}; allowed: one name a curve")
        updates = sum(curve.schedule.total_steps for curve in curves)
        if updates > MAX_UPDATES:
            raise CurveError(f"curve set: {updates} updates in {len(curves)} runs; allowed: {MAX_UPDATES} together")
        object.__setattr__(self, "curves", curves)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, schedules: Schedule | str | Mapping[str, Schedule | str] | None = None
    ) -> "CurveSet":
        """Build curves from a tidy table.

        Parameters
        ----------
        frame
            One row per observation: columns ``run, step, loss``, and optionally ``size, params, lr`` and further
            columns that are constant within a run, kept as metadata. The rows of a run are its whole history, in any
            order.
        schedules
            A schedule, or its spec, for all runs, or one for each run by its name. Default:
            the rates of the column ``lr``, interpolated between the steps of the table.

        Returns
        -------
        CurveSet
            One curve a run, in the order in which the runs appear.

        Raises
        ------
        CurveError
            If columns are missing, a run has no schedule, or a value is not valid.
        ScheduleError
            If a spec is not valid.
        """
        return cls(curves=curves_from_frame(frame, schedules))

    def __iter__(self) -> Iterator[LossCurve]:
        return iter(self.curves)

    def __len__(self) -> int:
        return len(self.curves)

    def __getitem__(self, name: str) -> LossCurve:
        for curve in self.curves:
            if curve.name == name:
                return curve
        raise CurveError(f"curve set: there is no curve {name!r}; curves: {_listed(self.names)}")

    def __repr__(self) -> str:
        sizes = list(dict.fromkeys(size_label(curve.size, curve.params) or "unknown" for curve in self.curves))
        points = sum(map(len, self.curves))
        called = "" if sizes == ["unknown"] else f", size{'s' if len(sizes) > 1 else ''} {_listed(sizes)}"
        return f"CurveSet({len(self)} curve{'s' if len(self) != 1 else ''}, {points} observations{called})"

    def _repr_html_(self) -> str:
        rows = [
            (
                *(curve.name, size_label(curve.size, curve.params), f"{len(curve):,}"),
                *(f"{curve.steps[-1]:,}", decimals(curve.loss[-1]), f"{curve.schedule.peak_lr:.3g}"),
                f"{curve.schedule.final_lr:.3g}",
            )
            for curve in self.curves[:_SHOWN]
        ]
        head = ("run", "size", "losses", "last step", "last loss", "peak rate", "final rate")
        more = f"and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return box(paragraph(repr(self), strong=True), table(head, rows, texts=2), paragraph(more) if more else "")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the curves, in order."""
        return tuple(curve.name for curve in self.curves)

    @property
    def batches_differ(self) -> bool:
        """Whether runs of one size have different batch sizes."""
        return any(len(batches) > 1 for batches in Sizes.of(self).batches(self))

    @property
    def decays_known(self) -> bool:
        """Whether some run says its weight decay."""
        return any(curve.weight_decay is not None for curve in self.curves)

    @property
    def single_losses(self) -> bool:
        """Whether no run has more than one observation, as in a grid of final losses."""
        return max(map(len, self.curves)) == 1

    @property
    def mostly_single_losses(self) -> bool:
        """Whether more runs than not have a single observation, as in a grid of final losses with a few curves."""
        return 2 * sum(len(curve) == 1 for curve in self.curves) > len(self.curves)

    def runs(self) -> pd.DataFrame:
        """Return the table that :meth:`select` asks.

        Returns
        -------
        pandas.DataFrame
            One row per curve: the columns ``run, size, params, total_steps, peak_lr`` and those of the metadata. Where
            a metadata column has one of these names it is left out.
        """
        rows = [
            {
                "run": curve.name,
                "size": curve.size,
                "params": curve.params,
                "total_steps": curve.schedule.total_steps,
                "peak_lr": curve.schedule.peak_lr,
            }
            for curve in self.curves
        ]
        return pd.DataFrame([{**row, **curve.metadata, **row} for curve, row in zip(self.curves, rows, strict=True)])

    def select(self, query: str | None, *, either: Sequence[str] | None = None) -> "CurveSet":
        """Return the curves that a query selects.

        Parameters
        ----------
        query
            A query over the columns of :meth:`runs`, such as ``"size == '25M' and split == 'train'"``, see
            :mod:`bayeslr.curves.query`; none: every curve.
        either
            Further queries, one of which at least has to select a curve as well. Default: none.

        Returns
        -------
        CurveSet
            The selected curves, in the same order.

        Raises
        ------
        CurveError
            If a query is not valid or selects nothing.
        """
        chosen = chosen_rows(self.runs(), query, either, error=CurveError, place="curve set")
        return CurveSet(curves=tuple(curve for curve, keep in zip(self.curves, chosen, strict=True) if keep))

    def until(self, step: int) -> "CurveSet":
        """Return what was known at a step; the schedules stay whole.

        Parameters
        ----------
        step
            The last step to keep.

        Returns
        -------
        CurveSet
            With the observations at that step and before; curves that have none are left out.

        Raises
        ------
        CurveError
            If no observation is left.
        """
        return self._take([curve.steps <= step for curve in self.curves], f"at or before step {step}")

    def after_warmup(self) -> "CurveSet":
        """Return the observations that can be fitted.

        Returns
        -------
        CurveSet
            Without the observations inside the warm-up; curves that have no others are left out.

        Raises
        ------
        CurveError
            If no observation is left.
        """
        return self._take([curve.past_warmup for curve in self.curves], "after the warm-up")

    def thin(self, max_points_per_run: int) -> "CurveSet":
        """Return fewer observations, where they tell most (see :mod:`bayeslr.curves.thinning`).

        Parameters
        ----------
        max_points_per_run
            Largest number of observations a curve, 2 or more.

        Returns
        -------
        CurveSet
            Without the observations inside the warm-up. A prefix that curves share stays shared: the same steps are
            kept on it, so that :meth:`owned` and :meth:`trunks` find it again.

        Raises
        ------
        CurveError
            If the number is not valid or every observation lies in the warm-up.
        """
        if (
            isinstance(max_points_per_run, bool)
            or not isinstance(max_points_per_run, int | np.integer)
            or max_points_per_run < 2
        ):
            raise CurveError(f"thin: max_points_per_run is {max_points_per_run!r}; allowed: an integer of 2 or more")
        return self._take(thin_masks(self.curves, int(max_points_per_run)), "after the warm-up")

    def spikes(self) -> tuple[NDArray[np.bool_], ...]:
        """Mark single losses that stand far out of their curves, see :func:`bayeslr.curves.spikes.spikes`.

        Returns
        -------
        tuple of numpy.ndarray
            Bool, one array of shape ``[n]`` a curve; False inside the warm-up.
        """
        return spikes(self.curves)

    def without(self, marked: Sequence[NDArray[np.bool_]]) -> "CurveSet":
        """Return the curves without some of their observations.

        Parameters
        ----------
        marked
            True for each observation to leave out, one array of shape ``[n]`` a curve.

        Returns
        -------
        CurveSet
            The other observations; curves that have none are left out.

        Raises
        ------
        CurveError
            If no observation is left.
        """
        return self._take([~mask for mask in marked], "that is not left out")

    def owned(self) -> tuple[NDArray[np.bool_], ...]:
        """Mark each distinct observation once, see :func:`bayeslr.curves.sharing.owned`.

        Returns
        -------
        tuple of numpy.ndarray
            Bool, one array of shape ``[n]`` a curve: False where an earlier curve holds the same measurement.
        """
        return owned(self.curves)

    def distinct(self) -> "CurveSet":
        """Return each distinct observation once; curves all of whose observations earlier ones hold are left out."""
        return self._take(list(self.owned()), "of its own")

    def trunks(self) -> tuple[int, ...]:
        """Return the earlier curve that each curve shares most with, see :func:`bayeslr.curves.sharing.trunks`.

        Returns
        -------
        tuple of int
            Index of that curve, one a curve, or -1.
        """
        return trunks(self.curves)

    def to_frame(self) -> pd.DataFrame:
        """Return all observations as one tidy table.

        Returns
        -------
        pandas.DataFrame
            Columns ``run, size, params, step, lr, loss``, one row per observation.
        """
        return pd.DataFrame(
            {
                "run": [curve.name for curve in self.curves for _ in range(len(curve))],
                "size": [curve.size for curve in self.curves for _ in range(len(curve))],
                "params": [curve.params for curve in self.curves for _ in range(len(curve))],
                "step": np.concatenate([curve.steps for curve in self.curves]),
                "lr": np.concatenate([curve.lr for curve in self.curves]),
                "loss": np.concatenate([curve.loss for curve in self.curves]),
            }
        )

    def _take(self, masks: Sequence[NDArray[np.bool_]], what: str) -> "CurveSet":
        """Keep the marked observations and the curves that have some."""
        kept = tuple(curve.take(mask) for curve, mask in zip(self.curves, masks, strict=True) if mask.any())
        if not kept:
            first = min(int(curve.steps[0]) for curve in self.curves)
            raise CurveError(f"curve set: no observation is left {what}; the earliest one is at step {first}")
        return CurveSet(curves=kept)


def _listed(names: Sequence[str]) -> str:
    """List names, but not hundreds of them."""
    return ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
