"""Posteriors that several tests of forecasts share."""

from dataclasses import replace

import pytest

from bayeslr.curves import CurveSet


@pytest.fixture(scope="session")
def of_one_batch(small_posterior):
    """The small posterior, as if all of its runs had batches of 256."""
    curves = CurveSet(curves=tuple(replace(c, batch_size=256.0) for c in small_posterior.curves))
    scale = small_posterior.settings["scale"] | {"batch": 0.0, "batches": [256.0]}
    return replace(small_posterior, curves=curves, settings=small_posterior.settings | {"scale": scale})
