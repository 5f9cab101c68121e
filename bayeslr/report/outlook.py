"""What a posterior says of its own runs, in sentences that a reader can compare with what was seen."""

import numpy as np

from bayeslr.curves import LossCurve
from bayeslr.errors import untold
from bayeslr.forecast import Forecast, predict
from bayeslr.inference import Posterior
from bayeslr.schedules import constant, wsd

__all__ = ["outlook"]

_DRAWS = 1000
_SHARE = 0.2


def outlook(posterior: Posterior, *, ci_prob: float = 0.9, seed: int = 0) -> list[str]:
    """Say what was fitted, and what annealing and longer training are worth at the longest fitted run.

    Parameters
    ----------
    posterior
        The posterior. Of several sizes the largest is described.
    ci_prob
        Probability of the intervals.
    seed
        Seed of the predictions that the sentences are about.

    Returns
    -------
    list of str
        Sentences.
    """
    size = posterior.sizes[-1]
    longest = max((c for c in posterior.curves if _is_of(c, size, posterior)), key=lambda c: int(c.steps[-1]))
    peak, warmup, steps = longest.schedule.peak_lr, longest.schedule.warmup_steps, int(longest.steps[-1])
    plans = {
        "constant": constant(peak_lr=peak, warmup_steps=warmup, total_steps=steps),
        "annealed": wsd(peak_lr=peak, warmup_steps=warmup, decay_steps=_fifth(steps, warmup), total_steps=steps),
        "longer": constant(peak_lr=peak, warmup_steps=warmup, total_steps=2 * steps),
    }
    # the fit's own warnings are told elsewhere; these plans are not the user's
    with untold():
        ends = {name: [plan.total_steps] for name, plan in plans.items()}
        forecast = predict(posterior, plans, size=size, steps=ends, seed=seed, num_draws=_DRAWS)
    draws = posterior.draws.sizes
    made = "by Laplace's approximation" if posterior.method == "laplace" else f"in {draws['chain']} chains"
    count = len(posterior.curves)
    several = f"{len(posterior.sizes)} sizes ({', '.join(posterior.sizes)})"
    of_size = f" At the size {size}:" if len(posterior.sizes) > 1 else ""
    return [
        f"Fitted to {count} run{'s' if count > 1 else ''} of {several if len(posterior.sizes) > 1 else 'one size'}; "
        f"{draws['chain'] * draws['draw']:,} draws {made}.{of_size}",
        f"A run of {steps:,} steps at a constant rate of {peak:.3g} ends at {_told(forecast, 'constant', ci_prob)}.",
        "Lowering the rate to zero over its last fifth is worth "
        f"{_told(forecast, 'constant', ci_prob, less='annealed')}.",
        f"Twice the steps at a constant rate are worth {_told(forecast, 'constant', ci_prob, less='longer')}.",
        *posterior.assumptions,
    ]


def _is_of(curve: LossCurve, size: str, posterior: Posterior) -> bool:
    """Tell whether a curve has this label, or the parameters that it stands for."""
    known = posterior.params[posterior.sizes.index(size)]
    return len(posterior.sizes) == 1 or curve.size == size or (known is not None and curve.params == known)


def _fifth(steps: int, warmup: int) -> int:
    return max(1, int(_SHARE * (steps - warmup)))


def _told(forecast: Forecast, name: str, ci_prob: float, less: str | None = None) -> str:
    """Write a final loss as it would be measured, or how much lower another one is without noise, with its interval."""
    values = forecast.observed[name][:, -1]
    if less is not None:
        values = forecast.latent[name][:, -1] - forecast.latent[less][:, -1]
    tail = (1.0 - ci_prob) / 2.0
    low, middle, high = np.quantile(values, [tail, 0.5, 1.0 - tail])
    places = int(np.clip(1 - np.floor(np.log10(max(high - low, 1e-9))), 2, 5))
    unit = " nats" if less is not None else ""
    return f"{middle:.{places}f}{unit} ({100 * ci_prob:g}%: {low:.{places}f} to {high:.{places}f})"
