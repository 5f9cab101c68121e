"""Builders against optax, against closed forms in plain Python, and against their own specs."""

import math

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslr.errors import ScheduleError
from bayeslr.schedules import (
    constant,
    cosine,
    cyclic,
    inverse_sqrt,
    linear,
    multistep,
    parse_schedule,
    wsd,
)


def optax_rates(schedule, total_steps):
    with jax.enable_x64(True):
        return np.broadcast_to(schedule(jax.numpy.arange(total_steps)), total_steps)


def warmed(peak, warmup_steps, after):
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup_steps), after], [warmup_steps])


P, F, W, D, T = 3e-4, 3e-5, 30, 40, 200

PAIRS = {
    "constant": (
        constant(peak_lr=P, warmup_steps=W, total_steps=T),
        warmed(P, W, optax.constant_schedule(P)),
    ),
    "cosine": (
        cosine(peak_lr=P, final_lr=F, warmup_steps=W, total_steps=T),
        optax.warmup_cosine_decay_schedule(0.0, P, W, T, F),
    ),
    "cosine to zero": (
        cosine(peak_lr=P, total_steps=T),
        optax.cosine_decay_schedule(P, T),
    ),
    "linear": (
        linear(peak_lr=P, final_lr=F, warmup_steps=W, total_steps=T),
        warmed(P, W, optax.linear_schedule(P, F, T - W)),
    ),
    "linear as a polynomial": (
        linear(peak_lr=P, final_lr=F, total_steps=T),
        optax.polynomial_schedule(P, F, 1, T),
    ),
    "wsd linear": (
        wsd(peak_lr=P, final_lr=F, warmup_steps=W, decay_steps=D, total_steps=T),
        warmed(P, W, optax.linear_schedule(P, F, D, T - D - W)),
    ),
    "wsd exponential": (
        wsd(peak_lr=P, final_lr=F, warmup_steps=W, decay_steps=D, total_steps=T, decay="exponential"),
        warmed(P, W, optax.exponential_decay(P, D, F / P, transition_begin=T - D - W)),
    ),
    "wsd cosine": (
        wsd(peak_lr=P, final_lr=F, warmup_steps=W, decay_steps=D, total_steps=T, decay="cosine"),
        optax.join_schedules(
            [
                optax.linear_schedule(0.0, P, W),
                optax.constant_schedule(P),
                optax.cosine_decay_schedule(P, D, alpha=F / P),
            ],
            [W, T - D],
        ),
    ),
    "multistep": (
        multistep(peak_lr=P, warmup_steps=W, milestones=[50, 120, 199], lrs=[P / 2, P / 8, P / 4], total_steps=T),
        warmed(P, W, optax.piecewise_constant_schedule(P, {50 - W: 0.5, 120 - W: 0.25, 199 - W: 2.0})),
    ),
    "cyclic": (
        cyclic(peak_lr=[P, P / 2, P], final_lr=F, warmup_steps=W, rewarmup_steps=10, cycle_steps=80, total_steps=T),
        optax.sgdr_schedule(
            [
                {
                    "init_value": 0.0 if k == 0 else F,
                    "peak_value": peak,
                    "warmup_steps": W if k == 0 else 10,
                    "decay_steps": 80,
                    "end_value": F,
                }
                for k, peak in enumerate([P, P / 2, P])
            ]
        ),
    ),
    "cyclic with warm restarts": (
        cyclic(peak_lr=P, cycle_steps=50, total_steps=T),
        optax.join_schedules([optax.cosine_decay_schedule(P, 50)] * 4, [50, 100, 150]),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_rates_equal_those_of_optax(name):
    ours, theirs = PAIRS[name]
    np.testing.assert_allclose(ours.lr, optax_rates(theirs, ours.total_steps), rtol=1e-9, atol=1e-12 * P)


@pytest.mark.parametrize(
    ("decay", "shape"),
    [
        ("linear", lambda x: P + (F - P) * x),
        ("exponential", lambda x: math.exp((1 - x) * math.log(P) + x * math.log(F))),
        ("1-sqrt", lambda x: F + (P - F) * (1 - math.sqrt(x))),
        ("cosine", lambda x: F + (P - F) * (1 + math.cos(math.pi * x)) / 2),
    ],
)
def test_wsd_against_a_plain_loop(decay, shape):
    schedule = wsd(peak_lr=P, final_lr=F, warmup_steps=W, decay_steps=D, total_steps=T, decay=decay)
    expected = []
    for i in range(T):
        if i < W:
            expected.append(P * i / W)
        elif i < T - D:
            expected.append(P)
        else:
            expected.append(shape((i - (T - D)) / D))
    np.testing.assert_allclose(schedule.lr, expected, rtol=1e-12)
    # The stable phase must not anneal by rounding: a branch shares its trunk's rates exactly.
    np.testing.assert_array_equal(schedule.lr[W : T - D + 1], P)


def test_inverse_sqrt_against_a_plain_loop():
    expected = [P * min(i / W, math.sqrt(W / max(i, 1))) for i in range(T)]
    np.testing.assert_allclose(inverse_sqrt(peak_lr=P, warmup_steps=W, total_steps=T).lr, expected, rtol=1e-12)
    no_warmup = inverse_sqrt(peak_lr=P, total_steps=4).lr
    np.testing.assert_allclose(no_warmup, [P, P, P / math.sqrt(2), P / math.sqrt(3)], rtol=1e-12)


def test_wsd_without_decay_is_constant():
    assert wsd(peak_lr=P, warmup_steps=W, decay_steps=0, total_steps=T) == constant(
        peak_lr=P, warmup_steps=W, total_steps=T
    )


def test_cyclic_of_one_cycle_is_cosine():
    one = cyclic(peak_lr=P, final_lr=F, warmup_steps=W, cycle_steps=T, total_steps=T)
    assert one == cosine(peak_lr=P, final_lr=F, warmup_steps=W, total_steps=T)


peaks = st.floats(1e-8, 10.0)
fractions = st.floats(0.0, 1.0)


@st.composite
def schedules(draw):
    """Draw a schedule of any builder, with arguments anywhere in their ranges."""
    total = draw(st.integers(1, 60))
    warmup = draw(st.integers(0, total - 1))
    peak = draw(peaks)
    final = peak * draw(fractions)
    common = {"peak_lr": peak, "warmup_steps": warmup, "total_steps": total}
    name = draw(st.sampled_from(["constant", "cosine", "linear", "inverse_sqrt", "wsd", "multistep", "cyclic"]))
    if name in {"constant", "inverse_sqrt"}:
        return {"constant": constant, "inverse_sqrt": inverse_sqrt}[name](**common)
    if name in {"cosine", "linear"}:
        return {"cosine": cosine, "linear": linear}[name](**common, final_lr=final)
    if name == "wsd":
        decay = draw(st.sampled_from(["linear", "exponential", "1-sqrt", "cosine"]))
        final = final or peak / 2
        return wsd(**common, final_lr=final, decay_steps=draw(st.integers(0, total - warmup)), decay=decay)
    if name == "multistep":
        after = list(range(warmup + 1, total))
        milestones = sorted(draw(st.sets(st.sampled_from(after), max_size=5))) if after else []
        return multistep(**common, milestones=milestones, lrs=[peak * draw(st.floats(0, 2)) for _ in milestones])
    cycle = draw(st.integers(warmup + 1, total))
    cycles = math.ceil(total / cycle)
    common["peak_lr"] = draw(st.one_of(st.just(peak), st.lists(peaks, min_size=cycles, max_size=cycles)))
    final = np.min(common["peak_lr"]) * draw(fractions)
    return cyclic(**common, final_lr=final, cycle_steps=cycle, rewarmup_steps=draw(st.integers(0, cycle - 1)))


@settings(deadline=None)
@given(schedule=schedules())
def test_spec_reads_back_to_the_identical_schedule(schedule):
    again = parse_schedule(schedule.spec)
    assert again == schedule
    assert again.spec == schedule.spec


@settings(deadline=None)
@given(schedule=schedules())
def test_warmup_is_linear_and_ends_at_the_peak(schedule):
    w = schedule.warmup_steps
    np.testing.assert_allclose(schedule.lr[:w], [schedule.lr[w] * i / w for i in range(w)], rtol=1e-12, atol=1e-300)


def test_lengths_may_be_integral_floats_and_numpy_numbers():
    assert constant(peak_lr=np.float32(1), warmup_steps=np.int32(3), total_steps=2e1).total_steps == 20
    assert multistep(peak_lr=1, milestones=np.array([3]), lrs=np.array([0.5]), total_steps=5).spec == (
        "multistep(peak_lr=1.0, warmup_steps=0, milestones=[3], lrs=[0.5], total_steps=5)"
    )


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (constant, {"peak_lr": 0, "total_steps": 10}),
        (constant, {"peak_lr": "1e-3", "total_steps": 10}),
        (constant, {"peak_lr": 10**400, "total_steps": 10}),
        (constant, {"peak_lr": 1e-3, "total_steps": 10**9}),
        (constant, {"peak_lr": 1e-3, "total_steps": 10, "warmup_steps": 10}),
        (cosine, {"peak_lr": 1e-3, "total_steps": 10, "final_lr": 2e-3}),
        (linear, {"peak_lr": 1e-3, "total_steps": 10, "final_lr": float("nan")}),
        (wsd, {"peak_lr": 1e-3, "total_steps": 10, "decay_steps": 3, "decay": ["linear"]}),
        (cyclic, {"peak_lr": [1, 2], "total_steps": 10, "cycle_steps": 2}),
        (cyclic, {"peak_lr": 1, "total_steps": 10, "cycle_steps": 5, "rewarmup_steps": 5}),
        (cyclic, {"peak_lr": 1, "total_steps": 10, "cycle_steps": 5, "warmup_steps": 5}),
        (cyclic, {"peak_lr": [1, 2], "total_steps": 10, "cycle_steps": 5, "final_lr": 1.5}),
        (multistep, {"peak_lr": 1, "total_steps": 10, "milestones": "5", "lrs": [1]}),
        (multistep, {"peak_lr": 1, "total_steps": 10, "milestones": np.array([[5]]), "lrs": [1]}),
    ],
)
def test_wrong_arguments_are_one_line_errors(build, arguments):
    with pytest.raises(ScheduleError, match=rf"^{build.__name__}: \w+.*allowed") as caught:
        build(**arguments)
    assert "\n" not in str(caught.value)
