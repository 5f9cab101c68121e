"""Units of a loss, and its value in nats per token."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslr.errors import LogError

__all__ = ["UNITS", "Unit"]

UNITS = ("nats", "bits", "perplexity", "bits per byte")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit of the loss.

    Parameters
    ----------
    name
        ``nats``, ``bits``, ``perplexity`` or ``bits per byte``.
    bytes_per_token
        Mean length of a token, needed for bits per byte.

    Raises
    ------
    LogError
        If the unit is unknown, or the length is missing or not positive.
    """

    name: str
    bytes_per_token: float | None = None

    def __post_init__(self) -> None:
        if self.name not in UNITS:
            raise LogError(f"loss_unit is {self.name!r}; allowed: {', '.join(UNITS)}")
        given = self.bytes_per_token
        if (self.name == "bits per byte") != (given is not None):
            raise LogError(f"loss_unit is {self.name!r}, bytes_per_token {given!r}; allowed: both for bits per byte")
        if given is not None and not (np.isfinite(given) and given > 0):
            raise LogError(f"bytes_per_token is {given!r}; allowed: a positive number")

    def in_nats(self, values: NDArray[np.float64], where: str) -> NDArray[np.float64]:
        """Convert losses.

        Parameters
        ----------
        values
            Losses in this unit.
        where
            What they belong to, for messages.

        Returns
        -------
        numpy.ndarray
            In nats per token.

        Raises
        ------
        LogError
            If a perplexity is not positive.
        """
        if self.name == "nats":
            return values
        if self.name == "perplexity" and (values <= 0).any():
            raise LogError(f"{where} is {values[values <= 0][0]:g}; allowed: perplexities, which are positive")
        nats = np.log(values) if self.name == "perplexity" else values * np.log(2.0) * (self.bytes_per_token or 1.0)
        return np.asarray(nats, dtype=np.float64)
