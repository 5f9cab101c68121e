"""Can this posterior be trusted? Each check has its evidence and, where it fails, advice in plain words."""

from dataclasses import dataclass
from typing import Literal

import lazy_loader
import numpy as np
import xarray as xr

from bayeslr.inference.laplace import MAX_PARETO_K, pareto_k
from bayeslr.inference.posterior import Posterior
from bayeslr.inference.shown import health_html
from bayeslr.laws import forward_area, rate_removed
from bayeslr.model import PREFIX, size_labels

__all__ = ["STEADY_SHARE", "Check", "Health", "Status", "check", "steady_share"]

# loaded at its first use: it brings scipy.stats and scipy.signal, a third of the time to import everything else
arviz_stats = lazy_loader.load("arviz_stats")

type Status = Literal["PASS", "REVIEW", "FAIL"]

_ORDER: tuple[Status, ...] = ("PASS", "REVIEW", "FAIL")
_MAX_RHAT = 1.01
_ESS_PER_CHAIN = 100
_MIN_BFMI = 0.3
_FAILED_RHAT = 1.05
_GOOD_PARETO_K = 0.5
_TAIL = 2.576
"""How many prior standard deviations from its median a prior's outer hundredth begins."""
_FAILED_ERRORS = 10.0
_FLAT = 0.05
"""Share of a rate whose removal does not count as annealing yet."""
STEADY_SHARE = 1.0 / 3.0
"""Least share of the area of the longest run that a run is to keep its rate for; a cosine keeps it for 0.28."""

_SAME_RATE = 1.2
_ERRORS = {
    "memory": "in the response to a lowered rate",
    "run_memory": "in that of single runs",
    "bend": "in the forward curve",
    "offset": "that last for a whole run",
    "residual": "that wander along a run",
}
"""What the scales of the discrepancy measure."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    Parameters
    ----------
    name
        What was checked.
    status
        ``"PASS"``, ``"REVIEW"`` (read the advice before you rely on it) or ``"FAIL"`` (do not use the numbers).
    evidence
        The figures.
    advice
        What to do; empty when passed.
    """

    name: str
    status: Status
    evidence: str
    advice: str = ""


@dataclass(frozen=True, kw_only=True)
class Health:
    """All checks of a posterior.

    Parameters
    ----------
    checks
        The checks, in a fixed order.
    """

    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst status of the checks."""
        return max((item.status for item in self.checks), key=_ORDER.index)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return health_html(self)

    def __str__(self) -> str:
        lines = [f"{item.status:6}  {item.name}: {item.evidence}" for item in self.checks]
        lines += [f"        {item.name}: {item.advice}" for item in self.checks if item.advice]
        return "\n".join([self.status, *lines])


def check(posterior: Posterior) -> Health:
    """Check whether the draws can be trusted, and whether the data answer what was asked.

    Parameters
    ----------
    posterior
        The posterior.

    Returns
    -------
    Health
        PASS, REVIEW or FAIL, with evidence and advice for each check.
    """
    if posterior.method == "laplace":
        # its draws are independent: R-hat and effective sample sizes would pass whatever they are draws of
        sampling = [_approximation(posterior)]
    else:
        sampling = [*_convergence(posterior), *_geometry(posterior)]
    return Health(checks=(*sampling, *_identification(posterior), *_errors_of_the_law(posterior)))


def _approximation(posterior: Posterior) -> Check:
    k = pareto_k(posterior.tree["sample_stats"]["log_ratio"].to_numpy())
    bad: Status = "FAIL" if not k <= MAX_PARETO_K else "REVIEW"
    return Check(
        name="Laplace approximation holds",
        status="PASS" if k <= _GOOD_PARETO_K else bad,
        evidence=f"Pareto k of density ratios {k:.2f}, at most {_GOOD_PARETO_K} wanted, above {MAX_PARETO_K} it fails",
        advice=""
        if k <= _GOOD_PARETO_K
        else "the posterior is not the Gaussian at its mode, so intervals can be far off; sample it: method='nuts' "
        "(--method nuts)",
    )


def _flat(values: xr.Dataset) -> list[tuple[str, float]]:
    """Return every number of a dataset with its label."""
    found = []
    for name, array in values.data_vars.items():
        for index in np.ndindex(array.shape):
            label = ", ".join(str(array[dim].values[k]) for dim, k in zip(array.dims, index, strict=True))
            found.append((f"{name}[{label}]" if label else str(name), float(array.values[index])))
    return found


def _convergence(posterior: Posterior) -> list[Check]:
    draws = posterior.draws
    chains = draws.sizes["chain"]
    least = _ESS_PER_CHAIN * chains
    more = "run longer: fit(..., num_warmup=1000, num_samples=2000), or --draws 2000"
    if chains == 1:
        rhat = Check(
            name="chains agree",
            status="REVIEW",
            evidence="one chain: nothing to compare it with",
            advice="use four chains (the default)",
        )
    else:
        with np.errstate(divide="ignore", invalid="ignore"):  # a number that never moves has no R-hat: not a number
            rhats = arviz_stats.rhat(draws)
        worst, value = max(_flat(rhats), key=lambda item: np.nan_to_num(item[1], nan=np.inf))
        bad: Status = "FAIL" if not value <= _FAILED_RHAT else "REVIEW"
        rhat = Check(
            name="chains agree",
            status="PASS" if value <= _MAX_RHAT else bad,
            evidence=f"largest R-hat {value:.3f} ({worst}), at most {_MAX_RHAT} wanted",
            advice="" if value <= _MAX_RHAT else f"the chains have not found the same distribution; {more}",
        )
    found = [rhat]
    for method in ("bulk", "tail"):
        worst, value = min(_flat(arviz_stats.ess(draws, method=method)), key=lambda item: item[1])
        poor: Status = "FAIL" if value < least / 4 else "REVIEW"
        found.append(
            Check(
                name=f"enough draws ({method})",
                status="PASS" if value >= least else poor,
                evidence=f"smallest effective sample size {value:.0f} ({worst}), at least {least} wanted",
                advice="" if value >= least else f"intervals are noisy; {more}",
            )
        )
    return found


def _geometry(posterior: Posterior) -> list[Check]:
    stats = posterior.tree["sample_stats"].to_dataset()
    total = stats["diverging"].size
    diverging = int(stats["diverging"].sum())
    deep = int(stats["reached_max_tree_depth"].sum())
    bfmi = float(np.min(arviz_stats.bfmi(posterior.tree)["energy"].values))
    share = diverging / total
    return [
        Check(
            name="no divergences",
            status="PASS" if diverging == 0 else ("FAIL" if share > 0.01 else "REVIEW"),
            evidence=f"{diverging} of {total} draws diverged",
            advice=""
            if diverging == 0
            else "part of the posterior was not explored; raise target_accept_prob to 0.95, or check for odd curves",
        ),
        Check(
            name="trajectories complete",
            status="PASS" if deep == 0 else "REVIEW",
            evidence=f"{deep} of {total} draws reached the largest tree depth",
            advice=""
            if deep == 0
            else "sampling is slow, not wrong; check for parameters that the data do not determine",
        ),
        Check(
            name="energy mixes (E-BFMI)",
            status="PASS" if bfmi >= _MIN_BFMI else "REVIEW",
            evidence=f"smallest {bfmi:.2f}, at least {_MIN_BFMI} wanted",
            advice="" if bfmi >= _MIN_BFMI else "heavy tails; run longer, or look for outliers in the logs",
        ),
    ]


def _identification(posterior: Posterior) -> list[Check]:
    """Compare each size's parameters with their priors, and the memory with its."""
    model, scale = posterior.model, posterior.scale
    draws = posterior.sample([parameter.name for parameter in model.law.parameters])
    conflicts, vague = [], []
    for parameter in model.law.parameters:
        spec = parameter.prior
        unit = getattr(scale, spec.relative_to) if spec.relative_to else 1.0
        positive = spec.family == "LogNormal"
        for k, size in enumerate(posterior.sizes):
            values = np.log(draws[parameter.name][:, k]) if positive else draws[parameter.name][:, k]
            center = np.log(spec.center * unit) if positive else spec.center * unit
            spread = spec.spread if positive else spec.spread * unit
            place = float((np.median(values) - center) / spread)
            if parameter.name not in model.priors and abs(place) > _TAIL:
                conflicts.append(f"{parameter.name}[{size}] lies {abs(place):.1f} prior sd from its default prior")
            if parameter.name == "tau" and values.std() > 0.7 * spread:
                vague.append(f"{size}: log tau has sd {values.std():.2f}, its prior {spread:.2f}")
    # what was planned but lies beyond the observations does not count
    largest = max(float(np.max(np.abs(rate_removed(curve.schedule, curve.steps)))) for curve in posterior.curves)
    flat = largest < _FLAT * scale.rate
    steady = steady_share(posterior)
    return [
        Check(
            name="priors and data agree",
            status="REVIEW" if conflicts else "PASS",
            evidence="; ".join(conflicts) if conflicts else "no parameter lies in the tail of its default prior",
            advice="check units of the logs (loss in nats, rates as applied), or give a prior of your own"
            if conflicts
            else "",
        ),
        Check(
            name="annealing was observed",
            status="REVIEW" if flat else "PASS",
            evidence="no run lowers its rate by 5% of the peak" if flat else "at least one run lowers its rate",
            advice="predictions for any schedule that anneals rest on the prior; add one run with a decay"
            if flat
            else "",
        ),
        Check(
            name="forward curve was observed",
            status="REVIEW" if steady < STEADY_SHARE else "PASS",
            evidence=f"of one size at least, no run keeps its rate beyond {steady:.0%} of the longest run's area"
            if steady < STEADY_SHARE
            else "runs keep their rate for long enough",
            advice="where rates fall all along, progress and annealing cannot be told apart, and bands beyond the "
            "longest run may miss by far; add a run, or a stretch, at a constant rate"
            if steady < STEADY_SHARE
            else "",
        ),
        Check(
            name="memory (decay) identified",
            status="REVIEW" if vague else "PASS",
            evidence="; ".join(vague) if vague else "the data narrow the prior of tau",
            advice="do not read C and decay one by one, their ratio (drop) is what is known; a run with a sudden drop "
            "of the rate would tell them apart"
            if vague
            else "",
        ),
    ]


def _errors_of_the_law(posterior: Posterior) -> list[Check]:
    """Compare what the law gets wrong of these curves with what its error model was tested on."""
    model = posterior.model
    if not model.discrepancy.enabled:
        return []
    usual = float(np.exp(_TAIL * model.discrepancy.prior_spread))
    large, ratios = [], []
    for name, what in _ERRORS.items():
        site = f"{PREFIX}{name}"
        ratio = float(np.median(posterior.draws[site])) / getattr(model.discrepancy, name)
        if site not in model.priors and ratio > usual:
            large.append(f"errors {what} are {ratio:.1f} times as large as usual ({site})")
            ratios.append(ratio)
    bad: Status = "FAIL" if max(ratios, default=0.0) > _FAILED_ERRORS else "REVIEW"
    return [
        Check(
            name="the law describes the runs",
            status=bad if large else "PASS",
            evidence="; ".join(large) if large else "its errors are of the size that bands were tested on",
            advice=f"{_mixed_rates(posterior)}compare bands with runs that you leave out (bayeslr backtest) before you "
            "rely on them"
            if large
            else "",
        )
    ]


def steady_share(posterior: Posterior) -> float:
    """Tell for how much of the area of the longest run the forward curve is seen by itself.

    Parameters
    ----------
    posterior
        The posterior.

    Returns
    -------
    float
        Largest area at which a loss was observed while less than a twentieth of the rate had been removed, over the
        largest observed area; the least of all sizes.
    """
    labels, _, size_of_curve = size_labels(posterior.curves)
    steady, longest = np.zeros((2, len(labels)))
    for curve, size in zip(posterior.curves, size_of_curve, strict=True):
        areas = forward_area(curve.schedule, curve.steps)
        kept = np.abs(rate_removed(curve.schedule, curve.steps)) < _FLAT * curve.schedule.peak_lr
        steady[size] = max(steady[size], areas[kept].max(initial=0.0))
        longest[size] = max(longest[size], areas[-1])
    return float(np.min(steady / longest))


def _mixed_rates(posterior: Posterior) -> str:
    """Tell of peak rates that differ within a size."""
    size_of_curve = size_labels(posterior.curves)[2]
    for size in sorted(set(size_of_curve)):
        peaks = [c.schedule.peak_lr for c, k in zip(posterior.curves, size_of_curve, strict=True) if k == size]
        if max(peaks) > _SAME_RATE * min(peaks):
            return (
                f"runs with peak rates of {min(peaks):.3g} and {max(peaks):.3g} are mixed, and the law knows a rate by "
                "the area under it alone: fit each peak rate on its own; "
            )
    return ""
