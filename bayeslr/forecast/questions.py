"""What decisions have in common: which question they answer, and what their reader must know.

Two questions sound alike. *Which schedule is better* is about what all runs of a schedule have in common: the luck of a
single run (seed, order of the data) is left out, since it would fall on either schedule. *How will this run end* has
that luck in it. The first one has the narrower answer.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bayeslr.curves import Setup
from bayeslr.errors import PACKAGE, ExtrapolationWarning, FitWarning, PosteriorError, untold
from bayeslr.forecast.extrapolation import AREA_FACTOR
from bayeslr.forecast.forecast import Forecast
from bayeslr.forecast.predict import predict
from bayeslr.forecast.sizes import find_target, fitted_runs
from bayeslr.inference import Posterior
from bayeslr.inference.laplace import LAPLACE_LABEL
from bayeslr.inference.verdict import DISTRUSTED
from bayeslr.schedules import Schedule
from bayeslr.written import without_numbers

__all__ = [
    "ANSWERS",
    "Question",
    "ask_finals",
    "cautions",
    "checked_probability",
    "checked_question",
    "expected_curves",
    "final_draws",
    "rests_on",
    "tell",
]

type Question = Literal["schedule", "run"]
type Draws = NDArray[np.float64]

ANSWERS: Final[Mapping[str, str]] = {
    "schedule": "This compares schedules: what all runs of a schedule share, without the luck of a single run.",
    "run": "This is about single runs: each has its own luck (seed, order of the data), which is in the numbers.",
}
"""What a reader is told about the question that was answered."""


_FURTHER: Final = 1.05
_LOOK: Final = "the fit needs a look"
_DOUBTS: Final = {"REVIEW": _LOOK, "FAIL": DISTRUSTED}
_QUICK: Final = "the fit is a quick approximation (Laplace), whose intervals may be wrong"
_SAMPLE: Final = (
    "before you rely on them, sample it: bayeslr fit ... --method nuts (Python: bl.fit(..., method='nuts'))"
)


def final_draws(forecast: Forecast, question: Question = "schedule") -> Draws:
    """Return draws of the final loss without measurement noise.

    Parameters
    ----------
    forecast
        The forecast.
    question
        ``"schedule"``: of what the runs of a schedule have in common; ``"run"``: of a single run of each.

    Returns
    -------
    numpy.ndarray
        ``[draws, schedules]``, one row per draw of the posterior.

    Raises
    ------
    PosteriorError
        If the question is neither.
    """
    if checked_question(question) == "run":
        return np.stack([forecast.latent[name][:, -1] for name in forecast.names], axis=1)
    return np.stack([curve[:, -1] for curve in expected_curves(forecast).values()], axis=1)


def expected_curves(forecast: Forecast) -> dict[str, Draws]:
    """Return draws of the curve that the runs of each schedule have in common, ``[draws, n]``."""
    return {name: np.asarray(forecast.parts[name].expected) for name in forecast.names}


def ask_finals(
    posterior: Posterior,
    plans: Mapping[str, Schedule],
    *,
    size: float | str | None,
    seed: int,
    num_draws: int | None,
    setup: Setup,
) -> Forecast:
    """Predict the last step of many schedules in one call, so that their draws are paired; nothing is warned of yet."""
    steps = {name: np.array([plan.total_steps]) for name, plan in plans.items()}
    with untold():
        return predict(posterior, plans, size=size, steps=steps, seed=seed, num_draws=num_draws, **vars(setup))


def cautions(posterior: Posterior, found: Sequence[str], plans: Sequence[str]) -> tuple[str, ...]:
    """Say what the reader of an answer must know: the health of the fit, and how far the question goes beyond the data.

    Parameters
    ----------
    posterior
        The posterior.
    found
        Warnings of a forecast; those about a plan begin with its name.
    plans
        Names of the plans. A warning that several of them have is said once.

    Returns
    -------
    tuple of str
        One line per caution.
    """
    known = set(posterior.settings.get("health", ()))
    health = posterior.health
    # that the fit failed is said with the checks that it failed
    said = (LAPLACE_LABEL, DISTRUSTED) if health.status == "FAIL" else (LAPLACE_LABEL,)
    lines = [message for message in found if message in known and not message.startswith(said)]
    if posterior.method == "laplace" or LAPLACE_LABEL in found:
        # with the check of the approximation comes the same advice
        lines.insert(0, f"{_QUICK}; {_SAMPLE}" if health.checks[0].status == "PASS" else _QUICK)
    lines += [
        f"{_DOUBTS[item.status]} ({item.status}): {item.name}: {item.evidence} -> {item.advice}"
        for item in health.checks
        if item.status != "PASS"
    ]
    grouped: dict[str, list[tuple[str, str]]] = {}
    for message in found:
        if message in known or message.startswith((LAPLACE_LABEL, DISTRUSTED)):
            continue
        name = next((plan for plan in plans if message.startswith(f"{plan}: ")), "")
        text = message.removeprefix(f"{name}: ") if name else message
        grouped.setdefault(without_numbers(text) if name else text, []).append((name, text))
    for members in grouped.values():
        name, text = members[-1]
        if len(members) == 1:
            lines.append(f"{name}: {text}" if name else text)
        else:
            which = f"all {len(plans)}" if len(members) == len(plans) else f"{len(members)} of {len(plans)}"
            lines.append(f"{which} choices, for example {name}: {text}")
    return tuple(dict.fromkeys(lines))


def rests_on(posterior: Posterior, plans: Iterable[Schedule], size: float | str | None) -> str:
    """Say what an answer rests on: which runs, how far beyond them was asked, and the health of the fit.

    Parameters
    ----------
    posterior
        The posterior.
    plans
        The schedules that were asked about.
    size
        The size that was asked about, as in :func:`bayeslr.predict`.

    Returns
    -------
    str
        A sentence.
    """
    target, area = find_target(posterior, size), posterior.model.law.area
    of_size = fitted_runs(posterior, target)
    lengths = [(float(area(plan, np.array([plan.total_steps]))[0]), plan.total_steps) for plan in plans]
    furthest, longest = max(whole for whole, _ in lengths), max(steps for _, steps in lengths)
    # of a size that was not fitted as long as such a run would be
    seen = posterior.scale_of(target.index, target.params).area
    steps = max(int(curve.steps[-1]) for curve in of_size)
    peaks = list(dict.fromkeys(f"{peak:.3g}" for peak in sorted(curve.schedule.peak_lr for curve in of_size)))
    rates = f"peak rates {peaks[0]} to {peaks[-1]}" if len(peaks) > 1 else f"peak rate {peaks[0]}"
    runs = "one run" if len(of_size) == 1 else f"{len(of_size)} runs"
    where, whose = ("", "") if target.index is not None else (" of other sizes", ", carried over to this size")
    ratio = furthest / seen
    beyond = "no further than they go"
    if longest > _FURTHER * steps:
        beyond = f"for up to {longest:,} steps, at rates so low that their sum goes no further"
    if ratio > _FURTHER:
        far = f"for up to {longest:,} steps, {ratio:.1f} times the area (sum of rates) of the longest of them{whose}, "
        beyond = far + (
            f"within the {AREA_FACTOR:g} times up to which intervals are tested: they widen with it"
            if ratio <= AREA_FACTOR
            else f"beyond the {AREA_FACTOR:g} times up to which intervals are tested: they may be too narrow"
        )
    return (
        f"It rests on {runs}{where} of up to {steps:,} steps, {rates}, and was asked {beyond}. Health of the fit: "
        f"{posterior.health.status}."
    )


def tell(lines: Sequence[str]) -> None:
    """Warn of what an answer says of itself, and of its fit; the code that asked the library is named."""
    for line in lines:
        of_fit = line.startswith((DISTRUSTED, LAPLACE_LABEL, _QUICK, _LOOK))
        warnings.warn(line, FitWarning if of_fit else ExtrapolationWarning, skip_file_prefixes=(PACKAGE,))


def checked_question(question: Question) -> Question:
    """Return a question, or refuse what is none."""
    if question not in ANSWERS:
        raise PosteriorError(f"question: found {question!r}; allowed: 'schedule', 'run'")
    return question


def checked_probability(name: str, value: Any) -> float:
    """Return a probability, or refuse what is none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 < value < 1.0:
        return float(value)
    raise PosteriorError(f"{name}: found {value!r}; allowed: between 0 and 1, such as 0.9")
