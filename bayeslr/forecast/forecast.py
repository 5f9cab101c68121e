"""Predicted loss curves, as draws and as bands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import PosteriorError
from bayeslr.forecast.shown import forecast_html, forecast_text
from bayeslr.model import CurveParts
from bayeslr.schedules import Schedule

__all__ = ["Forecast", "chosen"]


def chosen(names: Iterable[str] | None, known: Sequence[str], what: str) -> list[str]:
    """Return those that were asked for of some names, all of them by default; refuse one that is not known."""
    if names is None:
        return list(known)
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        found = repr(unknown[0]) if unknown else "no name"
        raise PosteriorError(f"{what}: found {found}; allowed: {', '.join(map(repr, known))}")
    return wanted


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """Predictions of one posterior for some schedules; draws are paired between schedules.

    Parameters
    ----------
    schedules
        The schedules, by name.
    steps
        Steps of the predictions, each ``[n]``.
    size
        Label of the model size.
    latent
        Draws of the loss curve without measurement noise, each ``[draws, n]``.
    observed
        Draws of the loss as it would be measured, each ``[draws, n]``.
    parts
        The parts of the curves.
    setups
        Weight decay and batch size of each schedule's run, by name; of those that are missing nothing is known.
    seed
        Seed of what was drawn, none of a mixture of forecasts.
    continues
        Name of the observed run that the schedules continue, none where they are new runs.
    fitted_steps
        Last step of the longest fitted run, of the size where it was fitted; none of a mixture of forecasts.
    warnings
        What the reader of the result must know: extrapolation, a fit that failed its checks.
    health
        Status of the fit by :func:`bayeslr.check`, and the checks that are to blame, ``REVIEW: agreement of chains``;
        empty where all of them pass.
    """

    schedules: Mapping[str, Schedule]
    steps: Mapping[str, NDArray[np.int64]]
    size: str
    latent: Mapping[str, NDArray[np.float64]]
    observed: Mapping[str, NDArray[np.float64]]
    parts: Mapping[str, CurveParts]
    setups: Mapping[str, Setup] = field(default_factory=dict)
    seed: int | None = None
    continues: str | None = None
    fitted_steps: int | None = None
    warnings: tuple[str, ...] = ()
    health: str = ""

    def __repr__(self) -> str:
        return forecast_text(self)

    def _repr_html_(self) -> str:
        return forecast_html(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the schedules."""
        return tuple(self.schedules)

    @property
    def lr(self) -> dict[str, NDArray[np.float64]]:
        """Rate of the last update before each step, each ``[n]``."""
        return {name: schedule.lr[self.steps[name] - 1] for name, schedule in self.schedules.items()}

    def select(self, names: Iterable[str]) -> "Forecast":
        """Return the forecast of some of the schedules.

        Parameters
        ----------
        names
            Their names, in the order that is wanted.

        Returns
        -------
        Forecast
            The same draws of these schedules alone.

        Raises
        ------
        PosteriorError
            If a name is not known, or there is none.
        """
        wanted = chosen(names, self.names, "schedules")
        return replace(
            self,
            schedules={name: self.schedules[name] for name in wanted},
            steps={name: self.steps[name] for name in wanted},
            latent={name: self.latent[name] for name in wanted},
            observed={name: self.observed[name] for name in wanted},
            parts={name: self.parts[name] for name in wanted},
            setups={name: self.setups[name] for name in wanted if name in self.setups},
        )

    def draws(self, name: str | None = None) -> xr.Dataset:
        """Return labelled draws of a schedule's curve; draws of two schedules are paired by their number.

        Parameters
        ----------
        name
            Name of the schedule. Default: the only one.

        Returns
        -------
        xarray.Dataset
            Over ``draw`` and ``step``: ``loss`` (as it would be measured), ``latent`` (without measurement noise) and
            ``expected`` (what all runs of the schedule have in common); ``lr`` is the rate before each step.

        Raises
        ------
        PosteriorError
            If no schedule has this name, or none is given and there are several.
        """
        chosen = self.names[0] if name is None and len(self.names) == 1 else name
        if chosen is None or chosen not in self.schedules:
            found = "no name" if chosen is None else repr(chosen)
            raise PosteriorError(f"draws: found {found}; allowed: {', '.join(map(repr, self.names))}")
        arrays = {"loss": self.observed, "latent": self.latent}
        dims = ("draw", "step")
        return xr.Dataset(
            {key: (dims, array[chosen]) for key, array in arrays.items()}
            | {"expected": (dims, np.asarray(self.parts[chosen].expected))},
            coords={
                "draw": np.arange(len(self.latent[chosen])),
                "step": self.steps[chosen],
                "lr": ("step", self.lr[chosen]),
            },
            attrs={"schedule": chosen, "size": self.size},
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return the 90% bands, those of :meth:`band`."""
        return self.band()

    def band(self, *, ci_prob: float = 0.9, latent: bool = False) -> pd.DataFrame:
        """Return pointwise bands.

        Parameters
        ----------
        ci_prob
            Probability of the band (equal-tailed).
        latent
            Whether to describe the curve without measurement noise, instead of the loss as it would be measured.

        Returns
        -------
        pandas.DataFrame
            Columns ``schedule, step, lr, mean, median, lower, upper``.

        Raises
        ------
        PosteriorError
            If `ci_prob` does not lie between 0 and 1.
        """
        source, rates = (self.latent if latent else self.observed), self.lr
        parts = []
        for name in self.names:
            columns = {"step": self.steps[name], "lr": rates[name]} | _intervals(source[name], ci_prob)
            parts.append(pd.DataFrame({"schedule": name} | columns))
        return pd.concat(parts, ignore_index=True)

    def final_loss(self, *, ci_prob: float = 0.9, latent: bool = False) -> pd.DataFrame:
        """Return intervals of the loss at the last step of each schedule.

        Parameters
        ----------
        ci_prob
            Probability of the interval (equal-tailed).
        latent
            As in :meth:`band`.

        Returns
        -------
        pandas.DataFrame
            One row per schedule: ``step, mean, sd, median, lower, upper``, and where schedules differ in it their
            ``weight_decay`` or ``batch_size``.

        Raises
        ------
        PosteriorError
            If `ci_prob` does not lie between 0 and 1.
        """
        source = self.latent if latent else self.observed
        draws = np.concatenate([source[name][:, -1:] for name in self.names], axis=1)
        steps = [int(self.steps[name][-1]) for name in self.names]
        columns = {"step": steps, "sd": draws.std(axis=0)} | _intervals(draws, ci_prob)
        table = pd.DataFrame(columns, index=list(self.names))[["step", "mean", "sd", "median", "lower", "upper"]]
        table.index.name = "schedule"
        setups = [self.setups.get(name, Setup()) for name in self.names]
        for part in fields(Setup):
            values = [getattr(setup, part.name) for setup in setups]
            if len(set(values)) > 1:
                table[part.name] = np.array(values, float)
        return table


def _intervals(draws: NDArray[np.float64], ci_prob: float) -> dict[str, NDArray[np.float64]]:
    if not 0.0 < ci_prob < 1.0:
        raise PosteriorError(f"ci_prob: found {ci_prob!r}; allowed: between 0 and 1, such as 0.9")
    tail = (1.0 - ci_prob) / 2.0
    lower, median, upper = np.quantile(draws, [tail, 0.5, 1.0 - tail], axis=0)
    return {"mean": draws.mean(axis=0), "median": median, "lower": lower, "upper": upper}
