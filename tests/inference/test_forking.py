"""A forked child is told that it cannot compute, instead of waiting for ever."""

import os

import pytest

from bayeslr import schedules
from bayeslr.errors import BayeslrError
from bayeslr.forecast import predict
from bayeslr.inference import fit, require_unforked


def test_a_child_of_a_process_that_has_computed_is_refused(small_posterior, small_curves, monkeypatch):
    require_unforked()
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    for ask in (
        lambda: fit(small_curves, seed=0, method="laplace"),
        lambda: predict(small_posterior, schedules.constant(peak_lr=1e-3, total_steps=2000), seed=0),
    ):
        with pytest.raises(BayeslrError, match=r"forked from .*get_context\('spawn'\)"):
            ask()
