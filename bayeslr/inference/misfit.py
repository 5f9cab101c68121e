"""Does the fit follow what was measured? A sampler can be in perfect order in a place that has nothing to do with it.

Fitted medians are compared with losses, run by run and by part of the run: a posterior predictive check. And the
search of the mode says whether another explanation of the same curves fits nearly as well, and whether it came to rest.
"""

import numpy as np

from bayeslr.curves.scatter import ORDER, WHITE_NOISE, differences
from bayeslr.inference.fitted import fitted_curves
from bayeslr.inference.posterior import Posterior
from bayeslr.inference.verdict import Check, Status

__all__ = ["misfit_checks"]

_DRAWS = 100
_PARTS = 3
_LARGE, _TOO_LARGE = 2.0, 4.0
"""Root mean square of standardised residuals of a part of a run; 1 is as expected."""
_SHARE, _SCATTER = 0.2, 1.5
"""Median misfit of a run as a share of how far its losses spread, and of how far they scatter from one to the next:
beyond both, it is no fit of the curve. Of noise alone, as in a short stretch of training losses, it is 0.2 and 0.67."""
_NEAR = 5.0
"""Log density by which another mode lies lower and still matters: a factor of 150 in probability."""
_APART = 4.0
"""Distance of a mode from the highest one, in standard deviations there, from which on it is another one."""
_AT_REST = 0.5
"""Largest gradient at the mode, in standard deviations there."""


def misfit_checks(posterior: Posterior) -> list[Check]:
    """Compare the fit with the losses, and look at what the search of the mode met.

    Parameters
    ----------
    posterior
        The posterior.

    Returns
    -------
    list of Check
        "distance of fit and losses", "other explanations", and where the search failed "end of the search".
    """
    return [_follows(posterior), *_search(posterior)]


def _follows(posterior: Posterior) -> Check:
    worst, problems, hidden, failed = 0.0, [], [], False
    for name, steps, loss, parts, noise in fitted_curves(posterior, num_draws=_DRAWS):
        fitted = parts.smooth + parts.run
        sd = np.sqrt(np.median(parts.residual_sd, axis=0) ** 2 + np.median(noise, axis=0) ** 2 + fitted.var(axis=0))
        away = loss - np.median(fitted, axis=0)
        if not (np.isfinite(fitted).all() and np.isfinite(sd).all()):
            problems.append(f"{name}: the fitted curve is not a number everywhere")
            failed = True
            continue
        spread = float(np.quantile(loss, 0.95) - np.quantile(loss, 0.05))
        scatter = float(np.median(differences(loss))) / WHITE_NOISE if len(loss) > ORDER else 0.0
        misfit = float(np.median(np.abs(away)))
        follows = len(loss) < _PARTS or misfit <= _SHARE * max(spread, 1e-12)
        hidden.append(not follows)
        if not follows and misfit > _SCATTER * scatter:
            problems.append(f"{name}: fitted {misfit:.3g} away from the losses, which span {spread:.3g}")
            failed = True
            continue
        for part in np.array_split(np.arange(len(loss)), min(_PARTS, len(loss))):
            size = float(np.sqrt(np.mean((away[part] / sd[part]) ** 2)))
            worst = max(worst, size)
            if size > _LARGE:
                where = f"steps {steps[part[0]]} to {steps[part[-1]]}"
                problems.append(f"{name}, {where}: losses are {size:.1f} times as far away as the model says")
    if all(hidden) and not problems:
        problems.append("losses scatter so much that in no run a curve is to be seen")
        failed = True
    bad: Status = "FAIL" if failed or worst > _TOO_LARGE else "REVIEW"
    shown = problems[:3] + ([f"and {len(problems) - 3} more"] if len(problems) > 3 else [])
    return Check(
        name="distance of fit and losses",
        status=bad if problems else "PASS",
        evidence="; ".join(shown)
        if problems
        else f"losses lie {worst:.2f} times as far from the fit as it says, below {_LARGE:g} wanted",
        advice="look at bl.plots.plot_residuals: a jump, a spike or a change of the data is not part of any law; leave "
        "such runs or steps out"
        if problems
        else "",
    )


def _search(posterior: Posterior) -> list[Check]:
    search = posterior.settings.get("search")
    if not search:
        return []
    near = [mode["below"] for mode in search["others"] if mode["distance"] > _APART and mode["below"] < _NEAR]
    found = [
        Check(
            name="other explanations",
            status="REVIEW" if near else "PASS",
            evidence=f"another set of parameters fits nearly as well ({min(near):.1f} below in log density)"
            if near
            else "no other set of parameters that the search met fits nearly as well",
            advice="predictions may rest on which of them is taken; a run with a sudden drop of the rate, or a longer "
            "constant stretch, would tell them apart"
            if near
            else "",
        )
    ]
    if not search["gradient"] < _AT_REST:
        found.append(
            Check(
                name="end of the search",
                status="REVIEW",
                evidence=f"the slope at the mode is {search['gradient']:.2g} per standard deviation, below {_AT_REST} "
                "wanted",
                advice="the sampler starts from a bad place; look at the chains (R-hat), and at odd curves",
            )
        )
    return found
