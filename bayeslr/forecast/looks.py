"""What is kept of a run that is watched: every forecast of it, and how the run then did against each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import PosteriorError
from bayeslr.files import write_atomically
from bayeslr.schedules import Schedule
from bayeslr.written import chance, decimals, estimate, nominal, share

__all__ = ["Look", "Watch", "load_watch"]

_FORMAT = 1

type Draws = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """One forecast of the run, and how the run then did against it.

    Parameters
    ----------
    step
        The last step that it knew; 0: nothing of the run.
    final
        Median and interval of the final loss as it would be measured: ``median, lower, upper``.
    band
        The band ahead, ``step, median, lower, upper``.
    draws
        Draws of the losses at the band's steps, ``[draws, n]``.
    seen
        Observations that came after it and were held against it.
    outside
        Share of them outside the band.
    p_value
        Probability that a run that follows the forecast would be as far off as they are; 1 before there is any.
    high
        Whether the run lay above the forecast.
    """

    step: int
    final: Mapping[str, float]
    band: pd.DataFrame
    draws: Draws
    seen: int = 0
    outside: float = 0.0
    p_value: float = 1.0
    high: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Watch:
    """A run that is watched.

    Parameters
    ----------
    plan
        Its schedule.
    looks
        All forecasts, the first from before the run, the last one the newest.
    last_step, last_loss
        The newest observation; 0 and NaN before there is any.
    ci_prob
        Probability of the bands.
    alarm_below
        An alarm is given where the run is as far off as it would be with less than this probability.
    size
        Its size, as it was asked for; none: the only fitted one.
    setup
        Weight decay and batch size that were said of it, which its log may not say.
    diverged
        Whether the log goes on without losses.
    seed
        Seed of the newest forecast.
    basis
        What the forecasts rest on, in words.
    warnings
        What the reader must know.
    """

    plan: Schedule
    looks: tuple[Look, ...]
    last_step: int
    last_loss: float
    ci_prob: float
    alarm_below: float
    size: float | str | None = None
    setup: Setup = field(default_factory=Setup)
    diverged: bool = False
    seed: int | None = None
    basis: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def alarm(self) -> bool:
        """Whether the newest observations left the forecast that they were held against, or there are none any more."""
        return self.diverged or (self._held is not None and self._left(self._held))

    @property
    def _held(self) -> Look | None:
        """The newest forecast that something was held against."""
        return next((look for look in reversed(self.looks) if look.seen), None)

    def _left(self, look: Look) -> bool:
        """Whether the run left a forecast."""
        return look.seen > 0 and look.p_value < self.alarm_below

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a look says, in words."""
        where = f"{self.last_step:,} of {self.plan.total_steps:,} steps"
        final, caution = estimate(self.looks[-1].final, self.ci_prob), ", which counts for little after an alarm"
        forecast = f"{where}: the run is forecast to end at {final}{caution if self.alarm else ''}."
        held, alarm, follows = self._held, "", ""
        if self.diverged:
            alarm = f"ALARM: after step {self.last_step:,} the log has no loss any more: the run diverged."
        elif held is not None and self._left(held):
            side = "higher" if held.high else "lower"
            alarm = (
                f"ALARM: since step {held.step:,} the loss is {side} than forecast; a run that follows its forecast "
                f"would be so far off with probability {chance(held.p_value)}. Look at the run, its data and its rate; "
                "if they are in order, the forecast is wrong."
            )
        elif held is not None:
            follows = (
                f"The run follows its forecast: of the {held.seen} observations since step {held.step:,}, "
                f"{share(1.0 - held.outside)} lie in the {nominal(self.ci_prob)} band."
            )
        return tuple(filter(None, [alarm, forecast, follows, self.basis]))

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per forecast: ``median, lower, upper, width`` of the final loss, and how the run then did."""
        rows = [
            {
                "step": look.step,
                "share": look.step / self.plan.total_steps,
                **look.final,
                "width": look.final["upper"] - look.final["lower"],
                "seen": look.seen,
                "outside": look.outside,
                "p_value": look.p_value,
                "alarm": self._left(look),
            }
            for look in self.looks
        ]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the forecasts and checks as JSON-ready values."""
        return {
            "step": self.last_step,
            "total_steps": self.plan.total_steps,
            "alarm": self.alarm,
            "diverged": self.diverged,
            "seed": self.seed,
            "forecasts": self.to_dataframe().to_dict("records"),
            "sentences": list(self.sentences),
            "warnings": list(self.warnings),
        }

    def save(self, path: str | Path) -> Path:
        """Write all that is kept to a file, replacing an older one.

        Parameters
        ----------
        path
            Name of the file.

        Returns
        -------
        pathlib.Path
            The file.
        """
        looks = [
            {
                "step": look.step,
                "final": dict(look.final),
                "band": look.band.to_dict("list"),
                # only the newest forecast meets further observations
                "draws": np.round(look.draws, 6).tolist() if look is self.looks[-1] else [],
                "seen": look.seen,
                "outside": look.outside,
                "p_value": look.p_value,
                "high": look.high,
            }
            for look in self.looks
        ]
        values = {
            "bayeslr_watch": _FORMAT,
            "lr": self.plan.lr[self._corners()].tolist(),
            "at": self._corners().tolist(),
            "warmup_steps": self.plan.warmup_steps,
            "looks": looks,
            "last_step": self.last_step,
            "last_loss": None if np.isnan(self.last_loss) else self.last_loss,
            "ci_prob": self.ci_prob,
            "alarm_below": self.alarm_below,
            "size": self.size if isinstance(self.size, str | None) else float(self.size),
            **vars(self.setup),
            "diverged": self.diverged,
            "seed": self.seed,
            "basis": self.basis,
            "warnings": list(self.warnings),
        }
        text = json.dumps(values)
        return write_atomically(Path(path), lambda target: target.write_text(text, encoding="utf-8"), force=True)

    def _corners(self) -> NDArray[np.int64]:
        """Return updates between which the rates are straight lines, or all where that saves nothing."""
        lr = self.plan.lr
        turns = np.flatnonzero(np.abs(np.diff(lr, 2)) > 1e-9 * lr.max()) + 1
        return np.unique(np.concatenate([[0, lr.size - 1], turns]))

    def __repr__(self) -> str:
        final = self.looks[-1].final
        state = "ALARM" if self.alarm else "as forecast"
        return (
            f"Watch(step={self.last_step} of {self.plan.total_steps}, final={decimals(final['median'])} "
            f"[{decimals(final['lower'])}, {decimals(final['upper'])}], {state}, seed={self.seed})"
        )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def load_watch(path: str | Path) -> Watch:
    """Read what :meth:`Watch.save` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Watch
        The watch.

    Raises
    ------
    PosteriorError
        If the file cannot be read, or is not such a file.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["bayeslr_watch"] != _FORMAT:
            raise PosteriorError(f"{path}: format {values['bayeslr_watch']!r}; allowed: {_FORMAT}")
        at = np.asarray(values["at"], dtype=np.int64)
        rates = np.interp(np.arange(at[-1] + 1), at, np.asarray(values["lr"], dtype=float))
        looks = tuple(
            Look(
                step=int(look["step"]),
                final={key: float(look["final"][key]) for key in ("median", "lower", "upper")},
                band=pd.DataFrame(look["band"]),
                draws=np.asarray(look["draws"], dtype=float),
                seen=int(look["seen"]),
                outside=float(look["outside"]),
                p_value=float(look["p_value"]),
                high=bool(look["high"]),
            )
            for look in values["looks"]
        )
        return Watch(
            plan=Schedule(lr=rates, warmup_steps=int(values["warmup_steps"])),
            looks=looks,
            last_step=int(values["last_step"]),
            last_loss=float("nan") if values["last_loss"] is None else float(values["last_loss"]),
            ci_prob=float(values["ci_prob"]),
            alarm_below=float(values["alarm_below"]),
            size=values.get("size"),
            setup=Setup(**{part.name: _number(values.get(part.name)) for part in fields(Setup)}),
            diverged=bool(values.get("diverged", False)),
            seed=None if values.get("seed") is None else int(values["seed"]),
            basis=str(values.get("basis", "")),
            warnings=tuple(map(str, values["warnings"])),
        )
    except OSError as problem:
        raise PosteriorError(f"{path}: cannot be read ({problem.strerror}); allowed: a file written by watch") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
        if isinstance(problem, PosteriorError):
            raise
        raise PosteriorError(f"{path}: not a file written by watch; allowed: such a file, or a new name") from None
