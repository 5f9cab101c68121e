"""Curves in a posterior file: every bit of a rate comes back, and takes about a byte a step."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslr import CurveSet, LossCurve, schedules
from bayeslr.inference import load_posterior
from bayeslr.inference.integrity import sealed
from bayeslr.inference.posterior import data_hash
from bayeslr.inference.store import curves_from_dataset, curves_to_dataset
from bayeslr.schedules import Schedule

TOTAL = 24_000
ANNEALED = {"peak_lr": 3e-4, "warmup_steps": 500, "total_steps": TOTAL}
PLANS = {
    "cosine": schedules.cosine(final_lr=3e-5, **ANNEALED),
    "linear": schedules.wsd(decay_steps=4000, **ANNEALED),
    "exponential": schedules.wsd(decay_steps=20_000, final_lr=1e-5, decay="exponential", **ANNEALED),
    "constant": schedules.constant(**ANNEALED),
    "logged": Schedule(lr=np.interp(np.arange(TOTAL), np.arange(0, TOTAL, 100), np.linspace(1e-3, 0, 240).round(7))),
}


def curves_of(plans):
    steps = np.array([600, 900])
    return CurveSet(
        curves=tuple(
            LossCurve(name=str(k), steps=steps[steps <= plan.total_steps], loss=np.ones(2), schedule=plan)
            for k, plan in enumerate(plans)
        )
    )


@pytest.mark.parametrize("name", PLANS)
def test_a_byte_a_step_and_no_bit_is_lost(name):
    curves = curves_of([PLANS[name]])
    packed = curves_to_dataset(curves)
    assert len(bytes(packed.to_netcdf(engine="h5netcdf"))) < 1.1 * TOTAL + 30_000
    back = curves_from_dataset(packed)
    assert data_hash(back) == data_hash(curves)


def test_runs_with_the_same_rates_share_them():
    plans = [PLANS["cosine"], PLANS["linear"], schedules.parse_schedule(PLANS["cosine"].spec), PLANS["linear"]]
    packed = curves_to_dataset(curves_of(plans))
    assert packed["rates_of"].values.tolist() == [0, 1, 0, 1]
    assert packed.sizes["update"] == 2 * TOTAL
    back = curves_from_dataset(packed)
    assert data_hash(back) == data_hash(curves_of(plans))
    first, second, third, fourth = (curve.schedule for curve in back)
    assert second is fourth
    assert first is third


def test_rates_are_counted_before_they_are_unpacked():
    """Runs that share rates are a few bytes each in a file, and 160 MB each in memory."""
    packed = curves_to_dataset(curves_of([PLANS["cosine"]] * 11))
    many = packed.assign(updates=packed["updates"] * 0 + 19_000_000)
    with pytest.raises(ValueError, match=r"^209000000 updates in 11 runs, .*; allowed: 200000000 together$"):
        curves_from_dataset(many)
    with pytest.raises(ValueError, match=r"^-11 updates in 11 runs, -1 at least; allowed: "):
        curves_from_dataset(packed.assign(updates=packed["updates"] * 0 - 1))


def test_metadata_is_counted_before_it_is_parsed(monkeypatch):
    packed = curves_to_dataset(curves_of([PLANS["cosine"]] * 3))
    text = json.dumps({"a": "x" * 100})
    packed = packed.assign(metadata=("curve", np.array([text] * 3)))
    monkeypatch.setattr("bayeslr.inference.store._MAX_METADATA", len(text))
    assert [dict(curve.metadata) for curve in curves_from_dataset(packed)] == 3 * [{"a": "x" * 100}]
    with pytest.raises(ValueError, match=r"^metadata of .* characters; allowed: "):
        curves_from_dataset(packed.assign(metadata=("curve", np.array([text, text + " ", text]))))


@given(st.lists(st.floats(0, 1e300), max_size=10))
@settings(max_examples=20, deadline=None)
def test_any_rates_come_back(rates):
    curves = curves_of([Schedule(lr=np.array([1e-3] * 900 + [1e-310, *rates, 0.0]))])
    assert data_hash(curves_from_dataset(curves_to_dataset(curves))) == data_hash(curves)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rates_of": ("curve", [1])}, "rates of curve 1"),
        ({"rates_of": ("curve", [-1])}, "rates of curve -1"),
        ({"rate_order": ("curve", [0])}, "order 0"),
        ({"rate_differences": ("update", np.full(TOTAL, np.nan))}, "of type float64"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        curves_from_dataset(curves_to_dataset(curves_of([PLANS["cosine"]])).assign(change))


def test_a_file_of_the_format_before_is_read(small_posterior, tmp_path):
    """As it was written: the rates of every update, one run after the other."""
    import h5py

    path = small_posterior.save(tmp_path / "p.nc")
    with h5py.File(path, "r+") as file:
        for name in ("rate_differences", "rate_order", "rates_of"):
            del file[f"curves/{name}"]
        lr = np.concatenate([curve.schedule.lr for curve in small_posterior.curves])
        array = file["curves"].create_dataset("lr", data=lr, compression="gzip")
        del file["curves/update"]
        steps = file["curves"].create_dataset("update", data=np.arange(lr.size))
        steps.make_scale("update")
        array.dims[0].attach_scale(steps)
        file.attrs["bayeslr_format"] = 2
    path.write_bytes(sealed(path.read_bytes()))
    loaded = load_posterior(path)
    assert data_hash(loaded.curves) == data_hash(small_posterior.curves)
    # such a file knows no batches, these runs have none; its parameters are taken at the longest run
    known = dict(small_posterior.settings)
    own: dict[str, object] = {"batches": [], "level_areas": [], "level_rates": [], "level_batches": []}
    own |= {"level_area": 0.0, "level_rate": 0.0, "jitter": 0.0}
    assert json.dumps(dict(loaded.settings)) == json.dumps(known | {"scale": known["scale"] | own})
    assert loaded.scale_of(0).level_area == loaded.scale.areas[0]
