"""Curves from a tidy table that is in memory already."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayeslr.curves.curve import LossCurve
from bayeslr.curves.rates import interpolate_rates
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule, parse_schedule

__all__ = ["curves_from_frame"]

_REQUIRED = ("run", "step", "loss")
_OWN = (*_REQUIRED, "lr", "size", "params")


def curves_from_frame(
    frame: pd.DataFrame, schedules: Schedule | str | Mapping[str, Schedule | str] | None
) -> tuple[LossCurve, ...]:
    """Build one curve a run, see :meth:`bayeslr.curves.CurveSet.from_frame`.

    Parameters
    ----------
    frame
        One row per observation.
    schedules
        A schedule or its spec for all runs, one for each run by its name, or None for the rates of the table.

    Returns
    -------
    tuple of LossCurve
        In the order in which the runs appear.

    Raises
    ------
    CurveError
        If columns are missing, a run has no schedule, or a value is not valid.
    """
    missing = [column for column in _REQUIRED if column not in frame.columns]
    if missing:
        raise CurveError(
            f"frame: the column {missing[0]!r} is missing; required: run, step, loss; found: "
            f"{', '.join(map(str, frame.columns))}"
        )
    if frame["run"].isna().any():
        raise CurveError(f"frame: {int(frame['run'].isna().sum())} rows have no run; allowed: a name in each row")
    if frame["step"].isna().any():
        raise CurveError(f"frame: {int(frame['step'].isna().sum())} rows have no step; allowed: a number in each row")
    for column in {"step", "loss", "lr", "params"} & set(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame[column]) and not frame[column].isna().all():
            raise CurveError(f"frame: the column {column!r} has type {frame[column].dtype}; allowed: numbers")
    return tuple(
        _curve(str(name), rows.sort_values("step", kind="stable"), schedules)
        for name, rows in frame.groupby("run", sort=False)
    )


def _curve(name: str, rows: pd.DataFrame, schedules: Schedule | str | Mapping[str, Schedule | str] | None) -> LossCurve:
    """Build the curve of one run from its sorted rows."""
    constant = {}
    for column in rows.columns.difference(["run", "step", "loss", "lr"], sort=False):
        values = rows[column].drop_duplicates()
        if len(values) > 1:
            raise CurveError(
                f"frame: run {name!r} has {len(values)} values of {column!r}, for example {values.iloc[0]!r} and "
                f"{values.iloc[1]!r}; allowed: one value per run"
            )
        value = values.iloc[0]
        constant[str(column)] = None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value
    size, params = constant.pop("size", None), constant.pop("params", None)
    return LossCurve(
        name=name,
        steps=rows["step"].to_numpy(),
        loss=rows["loss"].to_numpy(),
        schedule=_schedule(name, rows, schedules),
        size=None if size is None else str(size),
        params=params,
        metadata=constant,
    )


def _schedule(
    name: str, rows: pd.DataFrame, schedules: Schedule | str | Mapping[str, Schedule | str] | None
) -> Schedule:
    """Return the schedule given for a run, or else the rates of its rows."""
    given = schedules.get(name) if isinstance(schedules, Mapping) else schedules
    if isinstance(given, Schedule):
        return given
    if isinstance(given, str):
        return parse_schedule(given)
    logged = rows.dropna(subset=["lr"]) if "lr" in rows.columns else rows.iloc[:0]
    if given is not None or logged.empty:
        raise CurveError(
            f"frame: run {name!r} has no schedule; allowed: a Schedule or a spec in `schedules`, or a column 'lr' with "
            "rates"
        )
    return interpolate_rates(
        logged["step"].to_numpy(np.int64),
        logged["lr"].to_numpy(np.float64),
        int(rows["step"].max()),
        where=f"frame: run {name!r}",
    )
