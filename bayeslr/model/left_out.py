"""What a model predicts of each observation from all the others, given its parameters.

Losses are jointly normal given parameters, effects integrated out. With the precision matrix ``Q`` of all losses, an
observation given all others has mean ``y_i - g_i / Q_ii`` and variance ``1 / Q_ii``, where ``g = Q (y - mean)``
(Burkner, Gabry, Vehtari 2021, arXiv:1810.10559). Neither needs ``Q`` itself: effects and their covariance given the
losses are small, and what they leave is whitened by differences of neighbours.
"""

import jax.numpy as jnp
from jax import Array

from bayeslr.model.likelihood import Structure, _after, _factors, _levels, _Rows
from bayeslr.model.nesting import from_right

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
    levels, size_of_run = _levels(structure), structure.size_of_run
    rows = _Rows.of(structure, loss)
    factors = _factors(structure, loss)
    left = factors.rest_left - from_right(factors.shared_left, levels.means(factors, size_of_run)[0][size_of_run])

    def turned_back(values: Array) -> Array:
        # the transpose of whitening
        return rows.weight[..., None] * values - _after(rows.kept[..., None] * values)

    gradient = turned_back(left[..., None])[..., 0]
    # what the effects of sizes, and those of runs given them, may take from the residual
    of_sizes, of_runs = turned_back(factors.shared_left), turned_back(factors.lasting)
    covariance = levels.covariance(factors)[size_of_run]
    taken = (of_sizes * (of_sizes @ covariance)).sum(axis=-1) + (of_runs**2).sum(axis=-1)
    precision = rows.weight**2 + _after(rows.kept**2) - taken
    precision = jnp.where(structure.valid, precision, 1.0)
    return loss - jnp.where(structure.valid, gradient / precision, 0.0), 1.0 / jnp.sqrt(precision)
