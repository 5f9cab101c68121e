"""What a model predicts of each observation from all the others, given its parameters.

Losses are jointly normal given parameters, effects integrated out. With the precision matrix ``Q`` of all losses, an
observation given all others has mean ``y_i - g_i / Q_ii`` and variance ``1 / Q_ii``, where ``g = Q (y - mean)``
(Burkner, Gabry, Vehtari 2021, arXiv:1810.10559). Neither needs ``Q`` itself: effects and their covariance given the
losses are small, and what they leave is whitened by differences of neighbours.
"""

import jax.numpy as jnp
from jax import Array

from bayeslr.model.likelihood import Structure, _after, _factors, _levels, _Rows
from bayeslr.model.nesting import OfRuns, from_right

__all__ = ["predict_left_out"]


def predict_left_out(structure: Structure, loss: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each observation given all others.

    Parameters
    ----------
    structure
        Mean and covariance of the losses.
    loss
        Observed losses, ``[R, n]``.

    Returns
    -------
    mean : jax.Array
        ``[R, n]``; where there is no observation, the loss itself.
    sd : jax.Array
        ``[R, n]``; where there is no observation, one.
    """
    levels, factors = _levels(structure), _factors(structure, loss)
    of_size, covariance = levels.means(factors, structure.groups)[0], levels.covariance(factors)
    mean, sd = loss, jnp.ones_like(loss)
    for group, left in zip(structure.groups, factors.runs, strict=True):
        part, observed = structure.of_group(group), group.take(loss)
        rows = _Rows.of(part, observed)
        change, precision = _of_group(rows, left, of_size[group.size_of_run], covariance[group.size_of_run])
        precision = jnp.where(part.valid, precision, 1.0)
        mean = group.put(observed - jnp.where(part.valid, change / precision, 0.0), mean)
        sd = group.put(1.0 / jnp.sqrt(precision), sd)
    return mean, sd


def _of_group(rows: _Rows, left: OfRuns, shared: Array, covariance: Array) -> tuple[Array, Array]:
    """Return gradient and diagonal of the precision, ``[G, n]``; `shared` are the effects' means by run."""

    def turned_back(values: Array) -> Array:
        # the transpose of whitening
        return rows.weight[..., None] * values - _after(rows.kept[..., None] * values)

    rest = left.rest_left - from_right(left.shared_left, shared)
    # what the effects of sizes, and those of runs given them, may take from the residual
    of_sizes, of_runs = turned_back(left.shared_left), turned_back(left.lasting)
    taken = (of_sizes * (of_sizes @ covariance)).sum(axis=-1) + (of_runs**2).sum(axis=-1)
    return turned_back(rest[..., None])[..., 0], rows.weight**2 + _after(rows.kept**2) - taken
