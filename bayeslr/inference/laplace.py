"""Laplace's approximation: draws from the Gaussian at the mode, for an answer in about a second.

The posterior around its mode is a Gaussian in unconstrained coordinates as far as its logarithm is quadratic there.
Draws from that Gaussian are independent, so R-hat and effective sample sizes say nothing of their quality. What does is
how their density compares with the exact one. With the ratios of exact to approximate density as weights, the
distribution of the largest ones is fitted by a generalised Pareto distribution; its shape ``k`` says how heavy their
tail is (Vehtari, Simpson, Gelman, Yao, Gabry 2024, "Pareto smoothed importance sampling", JMLR 25). Above 0.7 the two
distributions differ too much for the draws to stand for the posterior.
"""

import lazy_loader
import numpy as np
from numpy.typing import NDArray

from bayeslr.inference.engine.mode import Densities, Mode
from bayeslr.inference.engine.sampler import Draws

__all__ = ["LAPLACE_LABEL", "MAX_PARETO_K", "draw_gaussian", "pareto_k"]

# loaded at its first use: it brings scipy.stats and scipy.signal, a third of the time to import everything else
arviz_stats = lazy_loader.load("arviz_stats")

LAPLACE_LABEL = (
    "draws of a Laplace approximation (a Gaussian at the mode), not of the posterior itself; fit again by NUTS before "
    "you rely on intervals"
)
"""What every output of such a fit says."""

MAX_PARETO_K = 0.7
"""Largest shape of the tail of the density ratios at which the draws can stand for the posterior."""


def draw_gaussian(densities: Densities, mode: Mode, *, seed: int, num_samples: int, num_chains: int) -> Draws:
    """Draw from the Gaussian at the mode, and compare its density with the exact one.

    Parameters
    ----------
    densities
        Returns minus the log density and its gradient at some places.
    mode
        The mode and the factor of its inverse Hessian.
    seed
        Seed of the draws.
    num_samples
        Draws a chain.
    num_chains
        Number of chains; all draws are independent, chains only give them the shape that other fits have.

    Returns
    -------
    Draws
        Draws, with the statistics ``lp``, the exact log density up to a constant, and ``log_ratio``, the logarithm of
        exact over approximate density, zero at the mode.
    """
    rng = np.random.default_rng([seed, 2])
    white = rng.standard_normal((num_chains, num_samples, mode.position.size))
    position = mode.position + white @ mode.factor.T
    potential, _ = densities(position.reshape(-1, mode.position.size))
    # where there is no density, the approximation puts draws that the posterior does not have
    potential = np.where(np.isnan(potential), np.inf, potential).reshape(num_chains, num_samples)
    return Draws(
        position=position,
        stats={"lp": -potential, "log_ratio": mode.potential - potential + 0.5 * (white**2).sum(axis=-1)},
    )


def pareto_k(log_ratio: NDArray[np.float64]) -> float:
    """Return the shape of the tail of density ratios.

    Parameters
    ----------
    log_ratio
        Logarithm of exact over approximate density at independent draws, any shape.

    Returns
    -------
    float
        The shape ``k``: below 0.5 good, above :data:`MAX_PARETO_K` the approximation failed; zero where there is no
        tail, infinite where the density at a draw is.
    """
    ratios = np.asarray(log_ratio, dtype=np.float64).ravel()
    if not np.all(np.isfinite(ratios) | np.isneginf(ratios)):
        return float("inf")
    # a draw that the posterior excludes has weight zero; ArviZ wants finite logarithms, and negates them
    finite = np.maximum(ratios, ratios.max() - 700.0)
    _, shape = arviz_stats.base.array_stats.psislw(-finite)
    # the largest ratios are all equal: there is no tail
    return 0.0 if np.isnan(shape) else float(shape)
