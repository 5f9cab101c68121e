"""The library computes in 64 bits: losses are known to 1e-4, and C and decay lie on a narrow ridge.

JAX has one switch for that, for the whole process. Where the process has imported JAX before, code of others may count
on 32 bits, and it is told once. ArviZ prepares to load JAX at its first use, which is no import yet.
"""

import logging
import sys

# before this module brings it; a module that waits to be loaded is of a type of its own, and to ask it would load it
_IN_USE = type(sys.modules.get("jax")).__name__ == "module"

import jax  # noqa: E402

__all__ = ["compute_in_64_bits"]

TOLD = (
    "bayeslr computes in 64 bits and has switched jax_enable_x64 on for this process, so that other JAX code in it "
    "makes 64-bit arrays too; to agree, set JAX_ENABLE_X64=1 before; to keep 32 bits, use bayeslr in another process"
)


def compute_in_64_bits(*, in_use: bool = _IN_USE) -> None:
    """Switch JAX to 64 bits, and say so where that is news to somebody.

    Parameters
    ----------
    in_use
        Whether the process used JAX before. Default: whether it had been imported.
    """
    if jax.config.jax_enable_x64:
        return
    jax.config.update("jax_enable_x64", True)
    if in_use:
        logging.getLogger("bayeslr").warning(TOLD)


compute_in_64_bits()
