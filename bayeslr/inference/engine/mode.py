"""The mode of the posterior and the Gaussian around it, in whose coordinates the sampler runs.

The raw posterior is badly conditioned (C and decay, L0 and alpha lie on narrow ridges): NUTS needs about a hundred
leapfrog steps a draw there. In the coordinates ``z = mode + factor @ w``, with ``factor`` the Cholesky factor of the
inverse Hessian, it needs about six.
"""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg
from scipy.optimize import minimize

__all__ = ["Densities", "Mode", "find_mode"]

type Vector = np.ndarray[Any, np.dtype[np.float64]]
type Densities = Callable[[Vector], tuple[Vector, Vector]]
"""Takes places, ``[m, d]``; returns minus the log density at each, ``[m]``, and the gradients, ``[m, d]``."""

_NEWTON_STEPS = 6


@dataclass(frozen=True, kw_only=True)
class Mode:
    """The highest mode found.

    Parameters
    ----------
    position
        Its place, ``[d]``.
    factor
        Lower triangular ``[d, d]`` with ``factor @ factor.T`` the inverse Hessian there.
    potential
        Minus the log density there.
    gradient
        Largest slope of the log density there, per standard deviation.
    others
        Where the other starts ended: how far below in log density, and how many standard deviations away.
    """

    position: Vector
    factor: Vector
    potential: float
    gradient: float
    others: tuple[tuple[float, float], ...]


def find_mode(densities: Densities, starts: list[Vector]) -> Mode:
    """Minimise minus a log density from several starts, and measure its curvature at the best minimum.

    Parameters
    ----------
    densities
        Returns minus the log density and its gradient at some places.
    starts
        Starting points, each ``[d]``.

    Returns
    -------
    Mode
        The best minimum and the factor of its inverse Hessian.

    Notes
    -----
    The Hessian is taken by central differences of the gradient, twice: the second time in the coordinates that the
    first one whitened, where every direction has the same scale. This needs no second derivatives to be compiled.
    """

    def safe(z: Vector) -> tuple[Vector, Vector]:
        values, gradients = densities(z)
        good = np.isfinite(values) & np.isfinite(gradients).all(axis=1)
        return np.where(good, values, 1e12), np.where(good[:, None], gradients, 0.0)

    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # the Newton steps go on where a line search ends, and what the search reached is judged by the health check
        warnings.filterwarnings("ignore", "The line search algorithm did not converge")
        ends = list(pool.map(partial(_descend, safe), starts))
    ends.sort(key=lambda end: float(end.fun))
    position = np.asarray(ends[0].x, dtype=np.float64)
    factor = np.eye(position.size)
    for width in (1e-4, 3e-2, 3e-2):
        factor = factor @ _inverse_root(_hessian(safe, position, factor, width))
        position = _newton(safe, position, factor)
    whitening = np.linalg.cholesky(factor @ factor.T)
    value, gradient = _at(safe, position)

    def away(end: Vector) -> float:
        return float(np.linalg.norm(scipy.linalg.solve_triangular(whitening, end - position, lower=True)))

    return Mode(
        position=position,
        factor=whitening,
        potential=value,
        gradient=float(np.abs(whitening.T @ gradient).max()),
        others=tuple((float(end.fun) - value, away(np.asarray(end.x, dtype=np.float64))) for end in ends[1:]),
    )


def _at(densities: Densities, place: Vector) -> tuple[float, Vector]:
    (value,), (gradient,) = densities(place[None])
    return float(value), gradient


def _descend(densities: Densities, start: Vector) -> Any:
    # SciPy's stubs have no overload for a function of a plain array that also returns its gradient
    search: Any = minimize
    # the Newton steps that follow do the last digits; with limited memory the ridges take three times as many steps
    return search(partial(_at, densities), start, jac=True, method="BFGS", options={"maxiter": 2000, "gtol": 1e-2})


def _hessian(densities: Densities, position: Vector, factor: Vector, width: float) -> Vector:
    """Return the Hessian in the coordinates of a factor, by central differences of the gradient."""
    steps = width * factor.T
    ahead, behind = np.split(densities(np.concatenate([position + steps, position - steps]))[1], 2)
    hessian = (ahead - behind) @ factor / (2.0 * width)
    return (hessian + hessian.T) / 2.0


def _inverse_root(hessian: Vector) -> Vector:
    """Return a root of the inverse of a Hessian whose flat or negative directions are taken as weakly curved."""
    values, vectors = scipy.linalg.eigh(hessian)
    root: Vector = vectors / np.sqrt(np.maximum(np.abs(values), 1e-3))
    return root


def _newton(densities: Densities, position: Vector, factor: Vector) -> Vector:
    """Take damped Newton steps in whitened coordinates, while they lower the potential."""
    value, gradient = _at(densities, position)
    for _ in range(_NEWTON_STEPS):
        step = -factor @ (factor.T @ gradient)
        for damping in (1.0, 0.3, 0.1):
            new_value, new_gradient = _at(densities, position + damping * step)
            if new_value < value:
                break
        else:
            return position
        position, gain = position + damping * step, value - new_value
        value, gradient = new_value, new_gradient
        if gain < 1e-9:
            break
    return position
