"""Where computations run: several devices of the CPU for parallel chains, and a cache of compiled programs."""

import contextlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import jax
from threadpoolctl import threadpool_limits

from bayeslr.errors import ModelError

__all__ = [
    "OFTEN",
    "SELDOM",
    "ChainMethod",
    "chain_devices",
    "compiler_options",
    "is_vectorized",
    "prepare_devices",
    "unshared_solves",
]

type ChainMethod = Literal["auto", "parallel", "vectorized", "sequential"]

_CPU_DEVICES = 4

OFTEN, SELDOM = 1, 0
"""Levels of LLVM's optimiser, for programs that run all the time and for those that run some hundred times.

On the CPU, level 1 compiles a sampler in two thirds of the time of the default, and it runs no slower; at level 0
compilation takes half the time again, and what is called a few hundred times is too small for the difference to show.
"""


def prepare_devices() -> None:
    """Ask for parallel CPU devices and a persistent compilation cache, where the process has not settled that already.

    JAX fixes its devices at their first use, so this is called before a fit touches an array. In a process that has
    used JAX before, its devices stay as they are and chains run vectorised.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # a RuntimeError says that JAX is already running: its devices stay as they are
        with contextlib.suppress(RuntimeError):
            # no more than cores: XLA starts a thread for each, and they would pass kernels to each other
            jax.config.update("jax_num_cpu_devices", min(_CPU_DEVICES, os.cpu_count() or 1))
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(home / "bayeslr" / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def chain_devices(method: ChainMethod, num_chains: int) -> list[jax.Device]:
    """Choose the devices of the chains.

    Parameters
    ----------
    method
        ``"parallel"``: chains spread over the devices; ``"vectorized"``: all at once on one device; ``"sequential"``:
        one after the other on one device; ``"auto"``: parallel on the CPU, vectorised on a GPU.
    num_chains
        Number of chains.

    Returns
    -------
    list of jax.Device
        Devices whose number divides `num_chains`; one for vectorised and sequential chains.

    Raises
    ------
    ModelError
        If `method` is unknown.
    """
    if method not in ("auto", "parallel", "vectorized", "sequential"):
        raise ModelError(f"chain_method: found {method!r}; allowed: auto, parallel, vectorized, sequential")
    devices: list[jax.Device] = jax.local_devices()
    if method in ("vectorized", "sequential") or (method == "auto" and devices[0].platform != "cpu"):
        return devices[:1]
    count = max(k for k in range(1, min(len(devices), num_chains) + 1) if num_chains % k == 0)
    return devices[:count]


def is_vectorized(method: ChainMethod) -> bool:
    """Tell whether the chains of a device run as one batch instead of one after the other.

    A batch computes both sides of every branch, and its chains wait for the longest trajectory: for a GPU, that is.
    """
    return method == "vectorized" or (method != "sequential" and jax.local_devices()[0].platform != "cpu")


def compiler_options(level: int) -> dict[str, int] | None:
    """Return the compiler's options for a level of optimisation, on the kind of device in use."""
    return {"xla_backend_optimization_level": level} if jax.local_devices()[0].platform == "cpu" else None


def unshared_solves() -> AbstractContextManager[object]:
    """Keep BLAS from spreading one solve over several threads, as long as the context lasts.

    XLA leaves triangular solves on the CPU to SciPy's OpenBLAS, which shares those of 1,024 numbers or more among
    threads: at 32 effects a size a gradient takes twice as long, and four chains that compete for the cores ten times.
    """
    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits
