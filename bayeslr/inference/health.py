"""Can this posterior be trusted? Each check has its evidence and, where it fails, advice in plain words."""

import lazy_loader
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayeslr.curves.curve import MISMATCH
from bayeslr.forking import require_unforked
from bayeslr.inference.laplace import MAX_PARETO_K, pareto_k
from bayeslr.inference.misfit import misfit_checks
from bayeslr.inference.posterior import Posterior
from bayeslr.inference.verdict import Check, Health, Status
from bayeslr.laws import rate_removed

__all__ = ["LOWERED_SHARE", "STEADY_SHARE", "Check", "Health", "Status", "anneals", "check", "steady_share", "suffice"]

# loaded at its first use: it brings scipy.stats and scipy.signal, a third of the time to import everything else
arviz_stats = lazy_loader.load("arviz_stats")

_FEW_DIVERGENT = 0.001
"""Share of the draws below which divergences leave out too little to be seen. Fits with up to seven times this share
gave the same medians and intervals of final losses as fits with shorter steps, in which next to none diverged."""
_MAX_RHAT = 1.01
_ESS_PER_CHAIN = 100
_AMPLE = 2.0
"""Effective sample size that is enough to stop at, over what is wanted at least."""
_MIN_BFMI = 0.3
_FAILED_RHAT = 1.05
_GOOD_PARETO_K = 0.5
_TAIL = 2.576
"""How many prior standard deviations from its median a prior's outer hundredth begins."""
_FAR_TAIL = 4.0
"""How many of them no curve of the kind that priors were made for lies away."""
_FAILED_ERRORS = 10.0
LOWERED_SHARE = 0.05
"""Least share of a rate whose removal counts as annealing."""
STEADY_SHARE = 1.0 / 3.0
"""Least share of the area of the longest run that a run is to keep its rate for; a cosine keeps it for 0.28."""

_SAME_RATE = 1.2


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

    Raises
    ------
    BayeslrError
        If this process cannot compute, see :mod:`bayeslr.forking`.
    """
    require_unforked()
    if posterior.method == "laplace":
        # its draws are independent: R-hat and effective sample sizes would pass whatever they are draws of
        sampling = [_approximation(posterior)]
    else:
        sampling = [*_convergence(posterior), *_geometry(posterior)]
    return Health(
        checks=(
            *sampling,
            *_identification(posterior),
            *_errors_of_the_law(posterior),
            *misfit_checks(posterior),
            *_schedules(posterior),
        )
    )


def _approximation(posterior: Posterior) -> Check:
    k = pareto_k(posterior.tree["sample_stats"]["log_ratio"].to_numpy())
    bad: Status = "FAIL" if not k <= MAX_PARETO_K else "REVIEW"
    return Check(
        name="accuracy of the Laplace approximation",
        status="PASS" if k <= _GOOD_PARETO_K else bad,
        evidence=f"Pareto k of density ratios {k:.2f}, at most {_GOOD_PARETO_K} wanted, above {MAX_PARETO_K} it fails",
        advice=""
        if k <= _GOOD_PARETO_K
        else "the posterior is not the Gaussian at its mode, so intervals can be far off; sample it: bayeslr fit ... "
        "--method nuts (Python: bl.fit(..., method='nuts'))",
    )


def _flat(values: xr.Dataset) -> list[tuple[str, float]]:
    """Return every number of a dataset with its label."""
    found = []
    for name, array in values.data_vars.items():
        for index in np.ndindex(array.shape):
            label = ", ".join(str(array[dim].values[k]) for dim, k in zip(array.dims, index, strict=True))
            found.append((f"{name}[{label}]" if label else str(name), float(array.values[index])))
    return found


def suffice(positions: NDArray[np.float64]) -> bool:
    """Whether chains agree as a check wants it, and have twice the effective sample size that it wants.

    Parameters
    ----------
    positions
        Draws of the unconstrained vector, ``[chains, draws, d]``.
    """
    draws = xr.DataArray(positions, dims=("chain", "draw", "place"))
    least = _AMPLE * _ESS_PER_CHAIN * len(positions)
    if any(arviz_stats.ess(draws, method=method).min() < least for method in ("bulk", "tail")):
        return False
    return bool(arviz_stats.rhat(draws).max() <= _MAX_RHAT)


def _convergence(posterior: Posterior) -> list[Check]:
    draws = posterior.draws
    chains = draws.sizes["chain"]
    least = _ESS_PER_CHAIN * chains
    more = "run longer: fit(..., num_warmup=1000, num_samples=2000), or --draws 2000"
    if chains == 1:
        rhat = Check(
            name="agreement of chains",
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
            name="agreement of chains",
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
                name=f"number of draws ({method})",
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
    few = share < _FEW_DIVERGENT
    return [
        Check(
            name="divergences",
            status="PASS" if few else ("FAIL" if share > 0.01 else "REVIEW"),
            evidence=f"{diverging} of {total} draws diverged"
            + (", too few to move medians or intervals" if few and diverging else ""),
            advice=""
            if few
            else "part of the posterior was not explored; raise target_accept_prob (--target-accept-prob) to 0.95, or "
            "check for odd curves",
        ),
        Check(
            name="length of trajectories",
            status="PASS" if deep == 0 else "REVIEW",
            evidence=f"{deep} of {total} draws reached the largest tree depth",
            advice=""
            if deep == 0
            else "sampling is slow, not wrong; check for parameters that the data do not determine",
        ),
        Check(
            name="mixing of energy (E-BFMI)",
            status="PASS" if bfmi >= _MIN_BFMI else "REVIEW",
            evidence=f"smallest {bfmi:.2f}, at least {_MIN_BFMI} wanted",
            advice="" if bfmi >= _MIN_BFMI else "heavy tails; run longer, or look for outliers in the logs",
        ),
    ]


def _identification(posterior: Posterior) -> list[Check]:
    """Compare each size's parameters with their priors, and the memory with its."""
    model, scale = posterior.model, posterior.scale
    conflicts, vague, advice, furthest = [], [], "", 0.0
    for parameter in model.law.parameters:
        center, spread = parameter.unconstrained_prior(scale)
        draws = np.asarray(parameter.unconstrain(posterior.sample([parameter.name])[parameter.name]))
        labels = ("",) if parameter.shared else tuple(f"[{size}]" for size in posterior.sizes)
        for label, values in zip(labels, draws.reshape(len(draws), -1).T, strict=True):
            place = float((np.median(values) - center) / spread)
            # what all sizes share is a shape, which no wrong unit moves
            if parameter.name not in model.priors and abs(place) > (_FAR_TAIL if parameter.shared else _TAIL):
                furthest = max(furthest, 0.0 if parameter.shared else abs(place))
                conflicts.append(f"{parameter.name}{label} lies {abs(place):.1f} prior sd from its default prior")
            if parameter.advice and values.std() > 0.7 * spread:
                vague.append(f"{parameter.name}{label} has sd {values.std():.2f} in log units, its prior {spread:.2f}")
                advice = parameter.advice
    flat = not anneals(posterior)
    steady = steady_share(posterior)
    return [
        Check(
            name="agreement of priors and data",
            status=("FAIL" if furthest > _FAR_TAIL else "REVIEW") if conflicts else "PASS",
            evidence="; ".join(conflicts) if conflicts else "no parameter lies in the tail of its default prior",
            advice=""
            if not conflicts
            else "check units of the logs (loss in nats, rates as applied), or give a prior of your own"
            if furthest
            else "these runs ask for a law of another shape than others have shown: compare bands with runs that you "
            "leave out (bayeslr backtest) before you rely on them",
        ),
        Check(
            name="annealing in the runs",
            status="REVIEW" if flat else "PASS",
            evidence="no run lowers its rate by 5% of the peak" if flat else "at least one run lowers its rate",
            advice="predictions for any schedule that anneals rest on the prior; add one run with a decay"
            if flat
            else "",
        ),
        Check(
            name="constant stretch in the runs",
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
            name="identification of parameters",
            status="REVIEW" if vague else "PASS",
            evidence="; ".join(vague) if vague else "the data narrow the priors",
            advice=advice,
        ),
    ]


def _errors_of_the_law(posterior: Posterior) -> list[Check]:
    """Compare what the law gets wrong of these curves with what its error model was tested on."""
    model = posterior.model
    if not model.scales:
        return []
    large, ratios = [], []
    for site, parameter in model.scales.items():
        ratio = float(np.median(posterior.draws[site])) / parameter.prior.center
        if site not in model.priors and ratio > np.exp(_TAIL * parameter.prior.spread):
            large.append(f"{site} is {ratio:.1f} times its usual size ({parameter.meaning.rstrip('.').lower()})")
            ratios.append(ratio)
    bad: Status = "FAIL" if max(ratios, default=0.0) > _FAILED_ERRORS else "REVIEW"
    return [
        Check(
            name="size of the law's errors",
            status=bad if large else "PASS",
            evidence="; ".join(large) if large else "its errors are of the size that bands were tested on",
            advice=f"{_mixed_rates(posterior)}compare bands with runs that you leave out (bayeslr backtest) before you "
            "rely on them"
            if large
            else "",
        )
    ]


def _schedules(posterior: Posterior) -> list[Check]:
    """Repeat what was said at reading: that a run's logged rates are not those of its schedule."""
    found = {curve.name: str(said) for curve in posterior.fitted if (said := curve.metadata.get(MISMATCH))}
    if not found:
        return []
    first, said = next(iter(found.items()))
    more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
    return [
        Check(
            name="agreement of schedules and logs",
            status="REVIEW",
            evidence=f"{first}: {said}{more}",
            advice="every forecast rests on the schedule that a run is said to have: correct it, or leave it out where "
            "rates are logged, and fit again",
        )
    ]


def anneals(posterior: Posterior) -> bool:
    """Tell whether any fitted run lowers its rate by a twentieth of the peak while its loss is observed.

    Parameters
    ----------
    posterior
        The posterior.
    """
    # what was planned but lies beyond the observations does not count
    removed = (np.abs(rate_removed(curve.schedule, curve.steps)).max() for curve in posterior.fitted)
    return bool(max(removed) >= LOWERED_SHARE * posterior.scale.rate)


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
    steady, longest = np.zeros((2, len(posterior.sizes)))
    for curve in posterior.fitted:
        size = posterior.size_of(curve) or 0
        areas = posterior.model.law.area(curve.schedule, curve.steps)
        kept = np.abs(rate_removed(curve.schedule, curve.steps)) < LOWERED_SHARE * curve.schedule.peak_lr
        steady[size] = max(steady[size], areas[kept].max(initial=0.0))
        longest[size] = max(longest[size], areas[-1])
    return float(np.min(steady / longest))


def _mixed_rates(posterior: Posterior) -> str:
    """Tell of peak rates that differ within a size."""
    for size in range(len(posterior.sizes)):
        peaks = [curve.schedule.peak_lr for curve in posterior.fitted if posterior.size_of(curve) == size]
        if max(peaks) > _SAME_RATE * min(peaks):
            return (
                f"runs with peak rates of {min(peaks):.3g} and {max(peaks):.3g} are mixed: see whether a fit of each "
                "peak rate on its own passes; "
            )
    return ""
