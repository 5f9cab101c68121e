"""What a model predicts of each observation from all the others, given its parameters.

Losses are jointly normal given parameters, effects integrated out. With the precision matrix ``Q`` of all losses, an
observation given all others has mean ``y_i - g_i / Q_ii`` and variance ``1 / Q_ii``, where ``g = Q (y - mean)``
(Burkner, Gabry, Vehtari 2021, arXiv:1810.10559). Neither needs ``Q`` itself: effects and their covariance given the
losses are small, and what they leave has a precision of three diagonals.
"""

import jax.numpy as jnp
from jax import Array

from bayeslr.model.likelihood import Structure, _after, _before, _gram, _levels, _precision

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
    levels = _levels(structure)
    moments = levels.moments(levels.factorise(_gram(structure, loss), structure.size_of_run), structure.size_of_run)
    effects = -moments[:, :-1, -1]
    covariance = moments[:, :-1, :-1] - effects[:, :, None] * effects[:, None, :]
    shared = structure.shared_shapes - structure.exchange[None, :, None] * structure.response[:, None]
    scale = jnp.concatenate([structure.run_scale, structure.shared_scale], axis=-1)
    shapes = scale[:, :, None] * jnp.concatenate([structure.run_shapes, shared], axis=1)
    left = loss - structure.mean - (effects[:, None] @ shapes)[:, 0]
    diagonal, beside = _precision(structure)

    def weighed(rows: Array) -> Array:
        before = beside[:, None] * _before(rows)
        return diagonal[:, None] * rows + before + _after(beside[:, None] * rows)

    gradient = weighed(left[:, None])[:, 0]
    weighed_shapes = weighed(shapes)
    precision = diagonal - (weighed_shapes * (covariance @ weighed_shapes)).sum(axis=1)
    precision = jnp.where(structure.valid, precision, 1.0)
    return loss - jnp.where(structure.valid, gradient / precision, 0.0), 1.0 / jnp.sqrt(precision)
