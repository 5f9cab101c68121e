"""The annealing response as a short vector, so that inferring the memory costs nothing more than knowing it.

For a fixed schedule and step, ``S2 * (1 - decay)`` is a smooth function of ``log tau``. Tabulated at the 48 Chebyshev
nodes of ``log10 tau`` in [1, 5] it interpolates to less than 1e-6 of its maximum (tested), so that the response for
*any* memory is one product::

    response(tau) = coefficients @ chebyshev(log tau)             [n, 48] @ [48]

whatever the number of training steps. Mixtures of memories live on the same basis.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from bayeslr.laws.areas import area_response, response
from bayeslr.schedules import Schedule

__all__ = [
    "COARSE_INVERSE",
    "COARSE_NODES",
    "COARSE_TAU",
    "LOG_TAU_RANGE",
    "NODES",
    "area_coefficients",
    "chebyshev",
    "mixture",
    "response_coefficients",
]

NODES = 48
"""Number of Chebyshev nodes; measured error below 1e-7 of the maximum."""

LOG_TAU_RANGE = (float(np.log(10.0)), float(np.log(1e5)))
"""Range of ``log tau`` that the basis covers: decays from 0.9 to 0.99999."""

_NODES = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
_INVERSE = np.linalg.inv(np.polynomial.chebyshev.chebvander(_NODES, NODES - 1))


@jax.jit
def chebyshev(log_tau: ArrayLike) -> Array:
    """Return the Chebyshev polynomials at a memory.

    Parameters
    ----------
    log_tau
        Natural logarithm of the memory in steps, any shape; values outside :data:`LOG_TAU_RANGE` count as its ends.

    Returns
    -------
    jax.Array
        ``T_0 .. T_47`` of the memory's place in the range, shape ``[48, ...]``.
    """
    low, high = LOG_TAU_RANGE
    place = jnp.clip((2.0 * jnp.asarray(log_tau) - low - high) / (high - low), -1.0, 1.0)
    order = jnp.arange(NODES).reshape((-1,) + (1,) * place.ndim)
    # cos(n arccos x) has an infinite derivative at the ends; keep away from them by less than the basis' own error
    return jnp.cos(order * jnp.arccos(place[None] * (1.0 - 1e-12)))


_LOG_TAU = (_NODES + 1.0) / 2.0 * (LOG_TAU_RANGE[1] - LOG_TAU_RANGE[0]) + LOG_TAU_RANGE[0]
_AT_NODES = np.polynomial.chebyshev.chebvander(_NODES, NODES - 1)
_LENGTHS = np.sqrt(1.0 - _NODES**2)


def mixture(log_tau: Array, spread: Array, count: int = NODES) -> Array:
    """Return the weights of the basis for a log-normal mixture of memories.

    The nodes of the basis are its quadrature, so that a mixture costs no more than one memory.

    Parameters
    ----------
    log_tau
        Natural logarithm of the median memory in steps, ``[...]``.
    spread
        Standard deviation of the mixture in log units, ``[...]``; below 0.3 the nodes are too far apart for it.
    count
        Number of polynomials wanted, at most all 48 (default).

    Returns
    -------
    jax.Array
        Weights, ``[..., count]``, of a mixture that is cut off at the ends of :data:`LOG_TAU_RANGE`.
    """
    places = _LOG_TAU.reshape((1,) * log_tau.ndim + (-1,))
    away = (places - log_tau[..., None]) / spread[..., None]
    # relative to the end of the range, where the median lies beyond it: else all weights could vanish
    beyond = (jnp.clip(log_tau, *LOG_TAU_RANGE) - log_tau)[..., None] / spread[..., None]
    density = jnp.exp(0.5 * jax.lax.stop_gradient(beyond) ** 2 - 0.5 * away**2)
    density = density * _LENGTHS.reshape((1,) * log_tau.ndim + (-1,))
    weights = density @ jnp.asarray(_AT_NODES[:, :count])
    # the first polynomial is one at every node, so that the first weight is their sum
    normalised: Array = weights / weights[..., :1]
    return normalised


def response_coefficients(schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the coefficients of the annealing response on the basis.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        Steps of the observations, shape ``[n]``.

    Returns
    -------
    numpy.ndarray
        Coefficients in units of the rate, shape ``[n, 48]``.

    Raises
    ------
    ModelError
        If a step lies outside the schedule.
    """
    return response(schedule, steps, np.exp(_LOG_TAU)) @ _INVERSE.T


COARSE_NODES = 24
"""Polynomials that are enough for mixtures of memories, which are smooth."""

_COARSE = np.cos(np.pi * (np.arange(COARSE_NODES) + 0.5) / COARSE_NODES)
COARSE_INVERSE = np.linalg.inv(np.polynomial.chebyshev.chebvander(_COARSE, COARSE_NODES - 1))
COARSE_TAU = np.exp((_COARSE + 1.0) / 2.0 * (LOG_TAU_RANGE[1] - LOG_TAU_RANGE[0]) + LOG_TAU_RANGE[0])


def area_coefficients(schedule: Schedule, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the coefficients of the response whose memory runs in area, on the first 24 polynomials of the basis.

    Parameters
    ----------
    schedule
        The schedule.
    steps
        Steps of the observations, shape ``[n]``.

    Returns
    -------
    numpy.ndarray
        Coefficients in units of the rate, shape ``[n, 24]``: enough for mixtures of memories, which are smooth.

    Raises
    ------
    ModelError
        If a step lies outside the schedule.
    """
    return area_response(schedule, steps, COARSE_TAU) @ COARSE_INVERSE.T
