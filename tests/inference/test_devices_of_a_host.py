"""Chains on one device and on four of the same host: the same seed gives the same draws, up to rounding."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslr.inference.engine.devices import place_chains, prepare_devices
from bayeslr.inference.engine.mode import Mode
from bayeslr.inference.engine.sampler import Sampler

CHAINS = 8


def potential(z, shift):
    """A banana, so that chains have something to adapt to."""
    return 0.5 * ((z[0] - shift) ** 2 + (z[1] - 0.3 * (z[0] - shift) ** 2) ** 2 + z[2] ** 2)


def sampled(method):
    shift = jnp.asarray(1.0)
    several = jax.jit(jax.vmap(jax.value_and_grad(potential), in_axes=(0, None)))

    def densities(places):
        values, slopes = several(jnp.asarray(places), shift)
        return np.asarray(values), np.asarray(slopes)

    placement = place_chains(method, CHAINS)
    sampler = Sampler(potential, num_warmup=50, target_accept_prob=0.9, placement=placement)
    mode = Mode(position=np.array([1.0, 0.0, 0.0]), factor=np.eye(3), potential=0.0, gradient=0.0, others=())
    draws = sampler.run(densities, mode, shift, seed=0, num_samples=50, num_chains=CHAINS, progress=False)
    return len(placement.devices), draws.position


@pytest.mark.slow
def test_chains_on_four_devices_are_those_on_one():
    """In a process that XLA gives four devices, against one device here.

    NUTS amplifies differences of rounding along a chain, so that the first draws after adaptation are compared.
    """
    done = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["devices"], found["of"]) == (4, 4)
    count, here = sampled("vectorized")
    assert count == 1
    there = np.array(found["draws"])
    assert here.shape == there.shape == (CHAINS, 50, 3)
    np.testing.assert_allclose(here[:, :5], there[:, :5], rtol=1e-6, atol=1e-9)
    # chains differ from each other: it is not that one of them was copied
    assert len(np.unique(here[:, 0, 0].round(9))) == CHAINS


if __name__ == "__main__":
    prepare_devices()
    jax.config.update("jax_enable_x64", True)
    used, position = sampled("parallel")
    print(json.dumps({"devices": used, "of": jax.local_device_count(), "draws": position.tolist()}))
