"""NUTS in whitened coordinates, chains spread over devices, in chunks that a progress bar can count."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray
from numpyro.infer.hmc import hmc

from bayeslr.inference.engine.devices import OFTEN, SELDOM, Placement, compiler_options
from bayeslr.inference.engine.mode import Densities, Mode
from bayeslr.inference.watched import progress_bar
from bayeslr.model import Observations

__all__ = ["Draws", "Sampler"]

_CHUNK = 50
_FEWEST_DRAWS = 250
"""Draws a chain from which on one asks whether they suffice."""
_MAX_TREE_DEPTH = 10


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What NUTS returned.

    Parameters
    ----------
    position
        Draws of the unconstrained vector, ``[chains, draws, d]``.
    stats
        Sample statistics by ArviZ's names, each ``[chains, draws]``.
    """

    position: NDArray[np.float64]
    stats: dict[str, NDArray[Any]]


def in_background[T](work: Callable[[], T]) -> Future[T]:
    """Start a function in a thread of its own."""
    pool = ThreadPoolExecutor(max_workers=1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


class Sampler:
    """A compiled NUTS for one density; another data set of the same shapes reuses the program.

    Parameters
    ----------
    potential
        ``(z, observations) -> -log density``.
    num_warmup
        Steps of adaptation.
    target_accept_prob
        Acceptance probability that the step size is adapted to.
    placement
        Where the chains run.
    """

    def __init__(
        self,
        potential: Callable[[Array, Observations], Array],
        *,
        num_warmup: int,
        target_accept_prob: float,
        placement: Placement,
    ) -> None:
        starting = False

        def whitened(mode: Array, factor: Array, observations: Observations) -> Callable[[Array], Array]:
            if starting:
                # `run` fills in the first state's potential and gradient: compiling them here would take seconds
                return lambda w: 0.5 * (w**2).sum()
            return lambda w: potential(mode + factor @ w, observations)

        init_kernel, sample_kernel = hmc(potential_fn_gen=whitened, algo="NUTS")

        def start(key: Array, args: tuple[Array, Array, Observations]) -> Any:
            nonlocal starting
            place, chain = jax.random.split(key)
            starting = True
            # over-dispersed, so that R-hat can tell when chains have not forgotten their starts
            try:
                return init_kernel(
                    1.5 * jax.random.normal(place, args[0].shape),
                    num_warmup=num_warmup,
                    step_size=0.5,
                    target_accept_prob=target_accept_prob,
                    max_tree_depth=_MAX_TREE_DEPTH,
                    model_args=args,
                    rng_key=chain,
                )
            finally:
                starting = False

        def advance(state: Any, args: tuple[Array, Array, Observations]) -> tuple[Any, Any]:
            def step(state: Any, _: None) -> tuple[Any, Any]:
                state = sample_kernel(state, model_args=args)
                return state, (
                    state.z,
                    state.potential_energy,
                    state.energy,
                    state.num_steps,
                    state.accept_prob,
                    state.diverging,
                    state.adapt_state.step_size,
                )

            return jax.lax.scan(step, state, None, length=_CHUNK)

        def advance_all(states: Any, args: tuple[Array, Array, Observations]) -> tuple[Any, Any]:
            if placement.vectorized:
                return jax.vmap(advance, in_axes=(0, None))(states, args)
            # without a batch branches stay branches, and the program is smaller
            outcome: tuple[Any, Any] = jax.lax.map(lambda state: advance(state, args), states)
            return outcome

        self._num_warmup = num_warmup
        self._mesh = Mesh(np.array(placement.devices), ("chain",))
        self._over_chains = NamedSharding(self._mesh, PartitionSpec("chain"))
        self._everywhere = NamedSharding(self._mesh, PartitionSpec())
        spread = partial(
            jax.shard_map,
            mesh=self._mesh,
            in_specs=(PartitionSpec("chain"), PartitionSpec()),
            out_specs=PartitionSpec("chain"),
            check_vma=False,
        )
        self._start = jax.jit(start, compiler_options=compiler_options(SELDOM))
        self._advance = jax.jit(spread(advance_all), compiler_options=compiler_options(OFTEN))
        self._compiled: dict[int, Future[Any]] = {}

    def prepare(self, size: int, observations: Observations, *, num_chains: int) -> None:
        """Start to compile in the background, while the mode is searched.

        Parameters
        ----------
        size
            Length of the unconstrained vector.
        observations
            The arrays of the fit.
        num_chains
            Number of chains.
        """
        if num_chains in self._compiled:
            return
        args = (jnp.zeros(size), jnp.eye(size), observations)
        # shapes are enough: what makes the first state compiles later, while this does
        one = jax.eval_shape(self._start, jax.random.key(0), args)
        state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((num_chains, *leaf.shape), leaf.dtype, sharding=self._over_chains), one
        )
        lowered = self._advance.lower(state, jax.device_put(args, self._everywhere))
        self._compiled[num_chains] = in_background(lowered.compile)

    def _begin(
        self, densities: Densities, mode: Mode, args: tuple[Array, Array, Observations], *, seed: int, num_chains: int
    ) -> Any:
        """Return the first state of all chains."""
        # one chain at a time: a program for all of them takes twice as long to compile, for a millisecond of work
        chains = [self._start(key, args) for key in jax.random.split(jax.random.key(seed), num_chains)]
        white = np.stack([np.asarray(chain.z) for chain in chains])
        values, slopes = densities(mode.position + white @ mode.factor.T)
        chains = [
            chain._replace(potential_energy=jnp.asarray(value), z_grad=jnp.asarray(slope))
            for chain, value, slope in zip(chains, values, slopes @ mode.factor, strict=True)
        ]
        return jax.device_put(jax.tree.map(lambda *leaves: jnp.stack(leaves), *chains), self._over_chains)

    def run(
        self,
        densities: Densities,
        mode: Mode,
        observations: Observations,
        *,
        seed: int,
        num_samples: int,
        enough: Callable[[NDArray[np.float64]], bool] | None = None,
        num_chains: int,
        progress: bool | None,
    ) -> Draws:
        """Draw from the posterior.

        Parameters
        ----------
        densities
            Returns minus the log density and its gradient at some places.
        mode
            The mode and the factor that whitens.
        observations
            The arrays of the fit.
        seed
            Seed of the chains.
        num_samples
            Draws a chain, after warm-up; with `enough`, at most.
        enough
            Whether draws so far, ``[chains, draws, d]``, suffice; none: all are made.
        num_chains
            Number of chains, divisible by the number of devices.
        progress
            Whether to show a progress bar; none: where a person watches.

        Returns
        -------
        Draws
            Draws and statistics.
        """
        self.prepare(mode.position.size, observations, num_chains=num_chains)
        total = self._num_warmup + num_samples
        chunks: list[Any] = []

        def drawn(part: int) -> NDArray[Any]:
            return np.concatenate([np.asarray(chunk[part]) for chunk in chunks], axis=1)[:, self._num_warmup : total]

        def positions() -> NDArray[np.float64]:
            placed: NDArray[np.float64] = mode.position + drawn(0) @ mode.factor.T
            return placed

        with progress_bar(total=total, desc="sampling", unit="draw", progress=progress) as bar:
            args = (jnp.asarray(mode.position), jnp.asarray(mode.factor), observations)
            state = self._begin(densities, mode, args, seed=seed, num_chains=num_chains)
            args = jax.device_put(args, self._everywhere)
            advance = self._compiled[num_chains].result()
            while _CHUNK * len(chunks) < total:
                state, chunk = advance(state, args)
                chunks.append(jax.block_until_ready(chunk))
                bar.update(min(_CHUNK, total - bar.n))
                made = _CHUNK * len(chunks)
                if enough and made >= self._num_warmup + _FEWEST_DRAWS and enough(positions()):
                    # a bar that is full, not one that looks broken off
                    total = bar.total = min(total, made)
        potential, energy, leapfrogs, acceptance, diverging, step_size = map(drawn, range(1, len(chunks[0])))
        depth = np.ceil(np.log2(leapfrogs + 1)).astype(np.int64)
        return Draws(
            position=positions(),
            stats={
                "lp": -potential,
                "energy": energy,
                "n_steps": leapfrogs,
                "tree_depth": depth,
                "reached_max_tree_depth": depth >= _MAX_TREE_DEPTH,
                "acceptance_rate": acceptance,
                "diverging": diverging,
                "step_size": step_size,
            },
        )
