"""What a user would otherwise write: the law in NumPyro by hand, and in PyMC sampled by nutpie.

All peers see the observations that the library's fit sees, with independent Gaussian noise, and four chains.

- ``by_hand``: the formulas of the paper typed into NumPyro. S2 is accumulated by ``lax.scan`` over every training step
  inside the model; parameters L0, A, alpha, C, decay; NUTS with its defaults.
- ``by_hand_features``: the same parameters and sampler, S2 from the library's table. It explores the same posterior
  at a small part of the cost, and so tells how many effective draws a gradient of ``by_hand`` gives.
- ``pymc``: the parameters L0, A, alpha, C, decay in PyMC, S2 from the library's table, sampled by nutpie (numba).
- ``pymc_scaled``: the same with the library's own parameters (level, slope, alpha, drop, tau) and priors.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from numpyro.infer.hmc import hmc
from numpyro.infer.util import initialize_model

from bayeslr.curves import Sizes
from bayeslr.laws import NODES, AnnealingLaw, chebyshev
from bayeslr.model import ScalingModel

CHAINS = 4


def arrays(curves):
    """Turn one size's curves into flat arrays, one entry an observation."""
    model = ScalingModel(law=AnnealingLaw())
    scale = model.scale(curves)
    observations, _ = model.observations(curves, scale)
    valid, features = np.asarray(observations.valid), observations.inputs.features
    owned = [own for own in curves.owned() if own.any()]
    kept = [curve for curve, own in zip(curves, curves.owned(), strict=True) if own.any()]
    length = max(int(curve.steps[-1]) for curve in kept)
    rates = np.zeros((len(kept), length))
    for row, curve in zip(rates, kept, strict=True):
        seen = curve.schedule.lr[:length]
        row[: seen.size] = seen
    return {
        "rates": rates,
        "first": np.array([curve.schedule.warmup_steps for curve in kept]),
        "run": np.nonzero(valid)[0],
        "step": np.concatenate([curve.steps[own] for curve, own in zip(kept, owned, strict=True)]),
        "loss": np.asarray(observations.loss)[valid],
        "log_area": np.asarray(features.log_area)[valid],
        "response": np.asarray(features.response * features.peak[:, None, None])[valid],
        "area": scale.area,
        "rate": scale.rate,
        "lowest": scale.loss,
        "memory": scale.memory,
    }


def priors():
    """Sample the parameters that the paper writes; weak priors around values that papers report."""
    return {
        "L0": numpyro.sample("L0", dist.Normal(2.5, 1.0)),
        "A": numpyro.sample("A", dist.LogNormal(jnp.log(0.4), 1.0)),
        "alpha": numpyro.sample("alpha", dist.LogNormal(jnp.log(0.5), 0.4)),
        "C": numpyro.sample("C", dist.LogNormal(jnp.log(0.4), 1.0)),
        "decay": numpyro.sample("decay", dist.Uniform(0.9, 0.99999)),
        "noise": numpyro.sample("noise", dist.LogNormal(jnp.log(0.003), 2.0)),
    }


def by_hand(data):
    """The law as its paper writes it: the momentum is carried over every training step."""
    v = priors()
    rates = jnp.asarray(data["rates"])
    counted = jnp.arange(rates.shape[1])[None, :] > jnp.asarray(data["first"])[:, None]
    changes = jnp.where(counted, -jnp.diff(rates, axis=1, prepend=0.0), 0.0)

    def advance(carry, change):
        momentum, area = carry
        momentum = v["decay"] * momentum + change
        return (momentum, area + momentum), area + momentum

    zero = jnp.zeros(rates.shape[0])
    _, s2 = jax.lax.scan(advance, (zero, zero), changes.T)
    s1 = jnp.cumsum(rates, axis=1)
    at = (jnp.asarray(data["run"]), jnp.asarray(data["step"]) - 1)
    mean = v["L0"] + v["A"] * s1[at] ** -v["alpha"] - v["C"] * s2.T[at]
    numpyro.sample("loss", dist.Normal(mean, v["noise"]), obs=jnp.asarray(data["loss"]))


def by_hand_features(data):
    """The same posterior, S2 from the table."""
    v = priors()
    tau = 1.0 / (1.0 - v["decay"])
    s2 = data["rate"] * tau * (jnp.asarray(data["response"]) @ chebyshev(jnp.log(tau)))
    s1 = data["area"] * jnp.exp(jnp.asarray(data["log_area"]))
    mean = v["L0"] + v["A"] * s1 ** -v["alpha"] - v["C"] * s2
    numpyro.sample("loss", dist.Normal(mean, v["noise"]), obs=jnp.asarray(data["loss"]))


MODELS = {"by_hand": by_hand, "by_hand_features": by_hand_features}


def numpyro_density(name, data):
    """Return minus the log density over a flat vector, and a place to evaluate it at."""
    found = initialize_model(jax.random.key(0), MODELS[name], model_args=(data,))
    flat, unravel = ravel_pytree(found.param_info.z)
    return lambda z: found.potential_fn(unravel(z)), np.asarray(flat)


def sample_numpyro(name, data, *, num_warmup, num_samples, budget_s):
    """Run NUTS as NumPyro sets it up, chains in parallel, until the draws are there or the time is spent.

    Returns unconstrained draws by name ``[chains, draws]`` (fewer than asked for, or none, where the time ran out), how
    many steps of adaptation were done, seconds of both without compilation, and leapfrogs a draw.
    """
    keys = jax.random.split(jax.random.key(0), CHAINS)
    found = initialize_model(keys, MODELS[name], model_args=(data,))
    init_kernel, sample_kernel = hmc(potential_fn=found.potential_fn, algo="NUTS")
    chunk = 1 if name == "by_hand" else 50
    mesh = Mesh(np.array(jax.local_devices()[:CHAINS]), ("chain",))

    def spread(function):
        each = jax.vmap(function)
        chain = PartitionSpec("chain")
        return jax.jit(jax.shard_map(each, mesh=mesh, in_specs=chain, out_specs=chain, check_vma=False))

    def start(key, z):
        return init_kernel(z, num_warmup=num_warmup, rng_key=key)

    def advance(state):
        def step(state, _):
            state = sample_kernel(state)
            return state, (state.z, state.num_steps)

        return jax.lax.scan(step, state, None, length=chunk)

    state = spread(start)(keys, found.param_info.z)
    compiled = spread(advance).lower(state).compile()
    draws, steps, seconds = [], [], [0.0]
    while len(draws) * chunk < num_warmup + num_samples and seconds[-1] < budget_s:
        begun = time.perf_counter()
        state, (z, num_steps) = jax.block_until_ready(compiled(state))
        seconds.append(seconds[-1] + time.perf_counter() - begun)
        draws.append(jax.device_get(z))
        steps.append(np.asarray(num_steps))
    joined = {site: np.concatenate([part[site] for part in draws], axis=1)[:, num_warmup:] for site in draws[0]}
    return {
        "draws": joined,
        "adapted": min(num_warmup, len(draws) * chunk),
        "sampling_s": seconds[-1],
        "leapfrogs": float(np.concatenate(steps, axis=1).sum() / (CHAINS * len(draws) * chunk)),
    }


def pymc_model(data, *, scaled):
    """Write the law in PyMC: the same features, the same noise."""
    import pymc as pm
    import pytensor.tensor as pt

    low, high = np.log(10.0), np.log(1e5)
    with pm.Model() as model:
        if scaled:
            unit = data["lowest"]
            level = pm.Normal("level", 1.03 * unit, 0.3 * unit)
            slope = pm.LogNormal("slope", np.log(0.03 * unit), 0.8)
            alpha = pm.LogNormal("alpha", np.log(0.5), 0.4)
            drop = pm.LogNormal("drop", np.log(0.05 * unit), 0.8)
            tau = pm.LogNormal("tau", np.log(3.0 * data["memory"]), 0.9)
            noise = pm.LogNormal("noise", np.log(0.001 * unit), 2.0)
            forward = level - slope / alpha + slope / alpha * pt.exp(-alpha * data["log_area"])
            gain = drop
        else:
            L0 = pm.Normal("L0", 2.5, 1.0)
            A = pm.LogNormal("A", np.log(0.4), 1.0)
            alpha = pm.LogNormal("alpha", np.log(0.5), 0.4)
            C = pm.LogNormal("C", np.log(0.4), 1.0)
            decay = pm.Uniform("decay", 0.9, 0.99999)
            noise = pm.LogNormal("noise", np.log(0.003), 2.0)
            tau = 1.0 / (1.0 - decay)
            forward = L0 + A * (data["area"] * np.exp(data["log_area"])) ** -alpha
            gain = C * tau * data["rate"]
        place = pt.clip((2.0 * pt.log(tau) - low - high) / (high - low), -1.0, 1.0) * (1.0 - 1e-12)
        weights = pt.cos(np.arange(NODES) * pt.arccos(place))
        mean = forward - gain * pt.dot(data["response"], weights)
        pm.Normal("loss", mean, noise, observed=data["loss"])
    return model


def sample_pymc(data, *, scaled, num_warmup, num_samples):
    """Compile by numba and sample by nutpie."""
    import nutpie

    started = time.perf_counter()
    compiled = nutpie.compile_pymc_model(pymc_model(data, scaled=scaled), backend="numba")
    compile_s = time.perf_counter() - started
    sample = partial(nutpie.sample, compiled, chains=CHAINS, progress_bar=False)
    # once for what is loaded or compiled at the first draw
    sample(seed=1, tune=20, draws=20)
    begun = time.perf_counter()
    tree = sample(seed=0, tune=num_warmup, draws=num_samples)
    sampling_s = time.perf_counter() - begun
    draws = {str(k): v.to_numpy() for k, v in tree.posterior.data_vars.items()}
    leapfrogs = float(tree.sample_stats["n_steps"].mean())
    return {"draws": draws, "compile_s": compile_s, "sampling_s": sampling_s, "leapfrogs": leapfrogs}


def pymc_gradient(data, *, scaled):
    """Return a compiled function of the flat vector that gives the log density and its gradient."""
    model = pymc_model(data, scaled=scaled)
    function = model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
    function.set_extra_values({})
    start = np.concatenate([np.atleast_1d(v) for v in model.initial_point().values()])
    return function._pytensor_function, start


def library_gradient(curves, model):
    """Return the library's minus log density over a flat vector and observations, these, and a place."""
    from bayeslr.inference.engine.density import build_density, starting_points

    model = model.resolved(Sizes.of(curves).params)
    observations, _ = model.observations(curves, model.scale(curves))
    density = build_density(model, observations)
    return (
        density.potential,
        observations,
        np.asarray(density.unconstrain(starting_points(model, observations)[1], observations)),
    )
