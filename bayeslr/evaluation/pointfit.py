"""The point fit of a law, as its paper makes it: Huber loss of the log residual, L-BFGS from several starts.

Source: Tissue, Wang, Wang 2024 (arXiv 2408.11029), who take the Huber loss with delta = 1e-3 from Hoffmann et al. 2022
and fix the decay of the momentum; here the decay is fitted too. The search runs over the coordinates in which the law
is declared, positive ones as logarithms: this changes the path, not the optimum in L0, A, alpha, C and decay. Along the
ridges of the law L-BFGS alone takes thousands of iterations, so the best of its ends is finished by a trust-region
least-squares search for the same Huber loss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize
from scipy.stats import qmc

from bayeslr.curves import CurveSet, LossCurve, Setup
from bayeslr.forking import require_unforked
from bayeslr.laws import Law, Scale
from bayeslr.model import measure_scale
from bayeslr.schedules import Schedule

__all__ = ["FittedLaw", "fit_law", "group_by_size"]

_REACH = 1.5
"""Starts lie within this many prior standard deviations of the priors' centers,"""
_LIMIT = 6.0
"""and the search stays within this many: far outside what a curve can be."""
_ITERATIONS = 60
"""Iterations of L-BFGS from each start: enough to tell the starts apart."""

type Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLaw:
    """The curve of one size that fits best.

    Parameters
    ----------
    law
        The law.
    scale
        The data's scale.
    delta
        Where the Huber loss turns linear.
    runs
        Number of observations of each run.
    features
        Features of the ``R`` runs, padded to one length ``w``, each leaf ``[R, ...]``.
    taken
        Which of the ``R * w`` padded places are observations, ``[n]``.
    log_loss
        Logarithm of the observed loss, ``[n]``.
    place
        The optimum, in unconstrained coordinates.
    """

    law: Law
    scale: Scale
    delta: float
    runs: tuple[int, ...]
    features: Any
    taken: NDArray[np.int64]
    log_loss: Vector
    place: Vector

    def loss(self, schedule: Schedule, steps: NDArray[np.int64], setup: Setup | None = None) -> Vector:
        """Return the loss under a schedule at some steps, ``[n]``; setup: weight decay and batch size."""
        loss: Vector = self.losses([self], schedule, steps, setup)[0]
        return loss

    def losses(
        self,
        refits: Sequence["FittedLaw"],
        schedule: Schedule,
        steps: NDArray[np.int64],
        setup: Setup | None = None,
    ) -> Vector:
        """Return the losses of several of its refits, ``[refits, n]``."""
        require_unforked()
        features = self.law.features(schedule, steps, self.scale, setup or Setup())
        places = jnp.asarray(np.stack([refit.place for refit in refits]))
        return np.asarray(_each(self.law, places, features, self.scale.loss))

    @property
    def parameters(self) -> dict[str, float]:
        """The paper's parameters, such as L0 and decay."""
        require_unforked()
        values = _values(self.law, jnp.asarray(self.place), self.scale.loss)
        scale = {name: getattr(self.scale, name) for name in ("level_area", "level_rate", "loss", "memory")}
        return {name: float(value) for name, value in self.law.reported(values, scale).items()}

    def log_residuals(self) -> list[Vector]:
        """Return the logarithm of observed over fitted loss, an array a run."""
        return np.split(self.log_loss - self._log_fitted(), np.cumsum(self.runs)[:-1])

    def _log_fitted(self) -> Vector:
        require_unforked()
        fitted = _losses(self.law, jnp.asarray(self.place), self.features, self.taken, self.scale.loss)
        return np.log(np.asarray(fitted))

    def refit(self, log_residuals: Sequence[Vector]) -> "FittedLaw":
        """Fit the law to its own curves with other residuals, from here.

        Parameters
        ----------
        log_residuals
            Residuals as :meth:`log_residuals` returns them.

        Returns
        -------
        FittedLaw
            The new optimum.
        """
        return replace(self, log_loss=self._log_fitted() + np.concatenate(log_residuals))._finished()

    def _searched(self, start: Vector) -> tuple[float, "FittedLaw"]:
        """Run L-BFGS from a start; return the objective where it ends, and the law there."""
        log_loss, unit = jnp.asarray(self.log_loss), self.scale.loss

        def objective(place: Vector) -> tuple[float, Vector]:
            value, gradient = _objective(
                self.law, jnp.asarray(place), self.features, self.taken, log_loss, unit, self.delta
            )
            return float(value), np.asarray(gradient)

        low, high = _limits(self.law, self.scale)
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(low.tolist(), high.tolist(), strict=True)),
            options={"maxiter": _ITERATIONS},
        )
        return float(found.fun), replace(self, place=np.asarray(found.x))

    def _finished(self) -> "FittedLaw":
        """Go on from here to the optimum."""
        unit = self.scale.loss

        def residuals(place: Vector) -> Vector:
            return (
                np.asarray(_log_losses(self.law, jnp.asarray(place), self.features, self.taken, unit)) - self.log_loss
            )

        def jacobian(place: Vector) -> Vector:
            return np.asarray(_log_slopes(self.law, jnp.asarray(place), self.features, self.taken, unit))

        bounds = _limits(self.law, self.scale)
        found = least_squares(
            residuals,
            np.clip(self.place, *bounds),
            jacobian,
            bounds=bounds,
            x_scale="jac",
            loss="huber",
            f_scale=self.delta,
            max_nfev=200,
        )
        return replace(self, place=np.asarray(found.x))


def group_by_size(curves: Iterable[LossCurve]) -> dict[tuple[str | None, float | None], list[LossCurve]]:
    """Group curves by size label and number of parameters, in the order in which they appear."""
    groups: dict[tuple[str | None, float | None], list[LossCurve]] = {}
    for curve in curves:
        groups.setdefault((curve.size, curve.params), []).append(curve)
    return groups


def fit_law(law: Law, curves: Sequence[LossCurve], *, delta: float = 1e-3, starts: int = 8) -> FittedLaw:
    """Find the parameters that minimise the mean Huber loss of ``log(predicted) - log(observed)``.

    Parameters
    ----------
    law
        The law.
    curves
        Curves of one size after warm-up, each observation once.
    delta
        Where the Huber loss turns from quadratic to linear.
    starts
        Number of starts, spread evenly (Sobol) over the bulk of the law's priors.

    Returns
    -------
    FittedLaw
        The best of the optima that were found.
    """
    scale = measure_scale(CurveSet(curves=tuple(curves)), law)
    lengths = np.array([len(curve) for curve in curves])
    width = int(lengths.max())
    parts = [
        law.features(
            curve.schedule, np.append(curve.steps, np.repeat(curve.steps[-1], width - len(curve))), scale, curve.setup
        )
        for curve in curves
    ]
    center, spread = _prior(law, scale)
    unfitted = FittedLaw(
        law=law,
        scale=scale,
        delta=delta,
        runs=tuple(map(len, curves)),
        features=jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *parts),
        taken=np.flatnonzero(np.arange(width) < lengths[:, None]),
        log_loss=np.log(np.concatenate([curve.loss for curve in curves])),
        place=center,
    )
    wanted = max(1, starts)
    cube = qmc.Sobol(d=center.size, scramble=False).random_base2((wanted - 1).bit_length())[:wanted]
    found = [unfitted._searched(center + _REACH * spread * (2.0 * place - 1.0)) for place in cube]
    _, best = min(found, key=lambda item: item[0])
    return best._finished()


def _prior(law: Law, scale: Scale) -> tuple[Vector, Vector]:
    """Return centers and standard deviations of the law's priors in unconstrained coordinates."""
    rows = [np.array(parameter.unconstrained_prior(scale)) for parameter in law.parameters]
    units = [scale.loss if parameter.support == "real" else 1.0 for parameter in law.parameters]
    center, spread = (np.stack(rows) / np.array(units)[:, None]).T
    return center, spread


def _limits(law: Law, scale: Scale) -> tuple[Vector, Vector]:
    center, spread = _prior(law, scale)
    return center - _LIMIT * spread, center + _LIMIT * spread


def _values(law: Law, place: Array, unit: Array | float) -> dict[str, Array]:
    return {
        parameter.name: parameter.constrain(value) * (unit if parameter.support == "real" else 1.0)
        for parameter, value in zip(law.parameters, place, strict=True)
    }


@partial(jax.jit, static_argnums=0)
def _losses(law: Law, place: Array, features: Any, taken: ArrayLike, unit: Array | float) -> Array:
    values = _values(law, place, unit)
    return jax.vmap(lambda run: law.terms(values, run).total)(features).ravel()[jnp.asarray(taken)]


@partial(jax.jit, static_argnums=0)
def _each(law: Law, places: Array, features: Any, unit: Array | float) -> Array:
    """Return the losses of one run at several places, ``[places, n]``."""
    return jax.vmap(lambda place: law.terms(_values(law, place, unit), features).total)(places)


@partial(jax.jit, static_argnums=0)
def _log_losses(law: Law, place: Array, features: Any, taken: ArrayLike, unit: Array | float) -> Array:
    # on the way a search may meet curves below zero, whose logarithm does not exist
    return jnp.log(jnp.maximum(_losses(law, place, features, taken, unit), 1e-3 * unit))


_log_slopes = jax.jit(jax.jacfwd(_log_losses, argnums=1), static_argnums=0)


@partial(jax.jit, static_argnums=0)
@partial(jax.value_and_grad, argnums=1)
def _objective(
    law: Law,
    place: Array,
    features: Any,
    taken: ArrayLike,
    log_loss: Array,
    unit: Array | float,
    delta: Array | float,
) -> Array:
    # in units of delta: SciPy stops at absolute gradients
    size = jnp.abs(_log_losses(law, place, features, taken, unit) - log_loss) / delta
    return jnp.where(size < 1.0, 0.5 * size**2, size - 0.5).mean()
