"""A forked child is told that it cannot compute, instead of waiting for ever."""

import subprocess
import sys
import textwrap

import pytest

from bayeslr import forking, schedules
from bayeslr.errors import BayeslrError
from bayeslr.forecast import predict
from bayeslr.inference import check, fit


def test_a_child_of_a_process_that_has_computed_is_refused(small_posterior, small_curves, monkeypatch):
    monkeypatch.setattr(forking, "_without_threads", True)
    for ask in (
        lambda: fit(small_curves, seed=0, method="laplace"),
        lambda: predict(small_posterior, schedules.constant(peak_lr=1e-3, total_steps=2000), seed=0),
        lambda: check(small_posterior),
    ):
        with pytest.raises(BayeslrError, match=r"forked from .*get_context\('spawn'\)"):
            ask()


FORKED = """
    import os, signal, sys, warnings
    warnings.simplefilter("ignore")

    def in_a_child(ask):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            try:
                ask()
                print("answered")
            except ValueError as error:
                print(f"told: {error}")
            sys.stdout.flush()
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            print("waited for ever")

    def use_jax():
        import jax.numpy as jnp
        (jnp.ones((200, 200)) @ jnp.ones((200, 200))).block_until_ready()
"""

EVERY_QUESTION = """
    import bayeslr as bl
    use_jax()
    posterior = bl.load_posterior(sys.argv[1])
    curves, evaluation = posterior.curves, bl.evaluation
    plan = bl.schedules.wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=400, total_steps=2000)
    longer = "constant(peak_lr=1e-3, warmup_steps=100, total_steps=1000..4000)"
    family = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=100..1000, total_steps=2000)"
    for ask in (
        lambda: bl.fit(curves, seed=0),
        lambda: bl.fit(curves, seed=0, method="laplace"),
        lambda: bl.check(posterior),
        lambda: repr(posterior),
        lambda: posterior.with_predictive(),
        lambda: bl.predict(posterior, plan, seed=0),
        lambda: bl.compare(posterior, {"a": plan, "b": plan}),
        lambda: bl.next_run(posterior, plan),
        lambda: bl.optimize(posterior, family),
        lambda: bl.reach(posterior, longer, loss=3.0),
        lambda: bl.watch(posterior, curves.curves[0], curves.curves[0].schedule),
        lambda: bl.replay(posterior, curves.curves[0]),
        lambda: bl.fit_metric([3.0, 2.9, 2.8, 2.7, 2.6], [0.1, 0.2, 0.3, 0.4, 0.5]),
        lambda: bl.backtest(evaluation.horizon(curves, fraction=0.5), seed=0),
        lambda: evaluation.leave_run_out(posterior),
        lambda: evaluation.fit_law(bl.AnnealingLaw(), list(curves)),
        lambda: evaluation.calibrate(bl.ScalingModel(), curves, simulations=2, seed=0),
        lambda: bl.ScalingModel().prior_predictive(curves, seed=0),
        lambda: bl.ScalingModel(priors={"alpha": "LogNormal(-0.7, 0.4)"}),
        lambda: bl.report(posterior, {"a": plan}),
        lambda: bl.plots.plot_residuals(posterior),
    ):
        in_a_child(ask)
"""

IMPORTED_AFTERWARDS = """
    use_jax()

    def ask():
        import bayeslr as bl
        bl.ScalingModel(priors={"alpha": "LogNormal(-0.7, 0.4)"})

    in_a_child(ask)
"""

NOT_USED_BEFORE = """
    import jax
    import bayeslr as bl
    from bayeslr.forking import require_unforked

    bl.load_posterior(sys.argv[1])
    in_a_child(require_unforked)
"""


def told_in_children(code, *arguments):
    """Run a process that forks; return what its children print, line by line."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKED) + textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
@pytest.mark.timeout(240)
def test_every_question_is_told_of_the_fork(small_posterior, tmp_path):
    told = told_in_children(EVERY_QUESTION, str(small_posterior.save(tmp_path / "p.nc")))
    assert len(told) == 21
    assert [line for line in told if not line.startswith("told: this process was forked from ")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted there alone")
def test_a_library_that_is_imported_in_the_child_is_told_too():
    assert [line[:36] for line in told_in_children(IMPORTED_AFTERWARDS)] == ["told: this process was forked from o"]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_a_fork_before_any_computation_is_none_of_our_business(small_posterior, tmp_path):
    assert told_in_children(NOT_USED_BEFORE, str(small_posterior.save(tmp_path / "p.nc"))) == ["answered"]
