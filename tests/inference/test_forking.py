"""A forked child is told that it cannot compute, instead of waiting for ever."""

import os
import subprocess
import sys
import textwrap

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


FORKED = """
    import os, warnings
    import numpy as np
    import bayeslr as bl
    warnings.simplefilter("ignore")
    plan = bl.schedules.constant(peak_lr=1e-3, warmup_steps=20, total_steps=1000)
    steps = np.arange(40, 1001, 40)
    loss = 2.6 + 3 * steps**-0.2
    curves = bl.CurveSet(curves=(bl.LossCurve(name="a", steps=steps, loss=loss, schedule=plan),))
    posterior = bl.fit(curves, seed=0, method="laplace", num_chains=1, num_samples=50)
    child = os.fork()
    if child == 0:
        try:
            bl.predict(posterior, plan, seed=0)
        except bl.errors.BayeslrError as error:
            os.write(1, f"told: {error}".encode())
            os._exit(3)
        os._exit(0)
    print(f" {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
"""


@pytest.mark.slow
def test_a_real_fork_after_a_fit():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKED)],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert done.stdout.startswith("told: ")
    assert "forked from" in done.stdout
    assert done.stdout.endswith(" 3\n")
