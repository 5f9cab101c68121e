"""Where computations run: several devices of the CPU for parallel chains, and a cache of compiled programs."""

import contextlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
from threadpoolctl import threadpool_limits

from bayeslr.errors import ModelError
from bayeslr.forking import require_unforked

__all__ = [
    "OFTEN",
    "SELDOM",
    "ChainMethod",
    "Placement",
    "compiler_options",
    "place_chains",
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
    require_unforked()
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # a RuntimeError says that JAX is already running: its devices stay as they are
        with contextlib.suppress(RuntimeError):
            # no more than cores: XLA starts a thread for each, and they would pass kernels to each other
            jax.config.update("jax_num_cpu_devices", min(_CPU_DEVICES, os.cpu_count() or 1))
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # as the specification of these folders says: empty is unset, and a relative one is not valid
        home = home if home.is_absolute() else Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(home / "bayeslr" / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where chains run.

    Parameters
    ----------
    devices
        Devices over which the chains are spread; their number divides that of the chains.
    vectorized
        Whether the chains of a device run as one batch instead of one after the other. A batch computes both sides of
        every branch, and its chains wait for the longest trajectory: for a GPU, that is.
    """

    devices: tuple[jax.Device, ...]
    vectorized: bool


def place_chains(method: ChainMethod, num_chains: int) -> Placement:
    """Choose where the chains of a fit run.

    Parameters
    ----------
    method
        ``"parallel"``: chains spread over the devices; ``"vectorized"``: all at once on one device; ``"sequential"``:
        one after the other on one device; ``"auto"``: parallel on the CPU, vectorised on a GPU. The chains of one
        device run in turn on the CPU, as a batch on a GPU.
    num_chains
        Number of chains.

    Returns
    -------
    Placement
        Several devices for parallel chains, one for the others.

    Raises
    ------
    ModelError
        If `method` is unknown.
    """
    if method not in ("auto", "parallel", "vectorized", "sequential"):
        raise ModelError(f"chain_method: found {method!r}; allowed: auto, parallel, vectorized, sequential")
    devices: list[jax.Device] = jax.local_devices()
    on_cpu = devices[0].platform == "cpu"
    together = method in ("vectorized", "sequential") or (method == "auto" and not on_cpu)
    count = 1 if together else max(k for k in range(1, min(len(devices), num_chains) + 1) if num_chains % k == 0)
    batch = method == "vectorized" or (method != "sequential" and not on_cpu)
    return Placement(devices=tuple(devices[:count]), vectorized=batch)


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
