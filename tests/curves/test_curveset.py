"""Sets of curves: names, queries, cutting, tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import CurveError
from bayeslr.schedules import Schedule


def curve(name, *, steps=(1, 2, 3), total=10, size="S", **metadata):
    steps = np.array(steps)
    return LossCurve(
        name=name,
        steps=steps,
        loss=5 - steps / 10,
        schedule=Schedule(lr=np.full(total, 1e-3)),
        params=1e6,
        size=size,
        metadata=metadata,
    )


@pytest.fixture
def curves():
    return CurveSet(
        curves=(
            curve("a", split="train"),
            curve("b", split="test", steps=(5, 9), total=20),
            curve("c", split="train", size="L", seed=3),
        )
    )


def test_order_names_and_access(curves):
    assert curves.names == ("a", "b", "c")
    assert [c.name for c in curves] == ["a", "b", "c"]
    assert len(curves) == 3
    assert curves["b"].steps.tolist() == [5, 9]
    with pytest.raises(CurveError, match="there is no curve 'd'; curves: a, b, c"):
        curves["d"]


def test_names_are_unique_and_there_is_a_curve():
    with pytest.raises(CurveError, match="2 curves are named 'a'"):
        CurveSet(curves=(curve("a"), curve("a")))
    with pytest.raises(CurveError, match="there are no curves"):
        CurveSet(curves=())
    with pytest.raises(CurveError, match="found a str"):
        CurveSet(curves=("a",))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("split == 'train'", ("a", "c")),
        ("split == 'train' and size == 'L'", ("c",)),
        ("total_steps > 10", ("b",)),
        ("run in ['a', 'b']", ("a", "b")),
        ("seed == 3", ("c",)),
        ("seed.isna()", ("a", "b")),
        ("params < 2e6 and peak_lr == 1e-3", ("a", "b", "c")),
    ],
)
def test_select(curves, query, names):
    assert curves.select(query).names == names


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("split == 'val'", r"selects none of the 3 runs; split: 'train', 'test'"),
        ("spilt == 'train'", "is not valid .*columns: run, size, params, total_steps, peak_lr, split, seed"),
        ("split = ", "is not valid"),
        ("params + 1", "is not a condition"),
        ("size > 3", "is not valid"),
        ("run == @curves", "is not valid"),
        ("", "is not valid"),
        ("'train'", "is not a condition|is not valid"),
    ],
)
def test_bad_queries_give_one_line(curves, query, message):
    with pytest.raises(CurveError, match=message) as caught:
        curves.select(query)
    assert "\n" not in str(caught.value)


def test_until_drops_what_was_not_known(curves):
    cut = curves.until(2)
    assert cut.names == ("a", "c")
    assert cut["a"].steps.tolist() == [1, 2]
    assert cut["a"].schedule.total_steps == 10
    with pytest.raises(CurveError, match="no observation is left at or before step 0; the earliest one is at step 1"):
        curves.until(0)


def test_after_warmup_drops_curves_without_any():
    rising = LossCurve(name="w", steps=[1, 2], loss=[5, 4], schedule=Schedule(lr=np.arange(9.0)))
    assert CurveSet(curves=(rising, curve("a"))).after_warmup().names == ("a",)
    with pytest.raises(CurveError, match="no observation is left after the warm-up"):
        CurveSet(curves=(rising,)).after_warmup()


def test_frame_round_trip(curves):
    frame = curves.to_frame()
    assert list(frame.columns) == ["run", "size", "params", "step", "lr", "loss"]
    back = CurveSet.from_frame(frame, schedules={c.name: c.schedule for c in curves})
    for before, after in zip(curves, back, strict=True):
        assert before.steps.tolist() == after.steps.tolist()
        assert before.loss.tolist() == after.loss.tolist()
        assert (before.name, before.size, before.params) == (after.name, after.size, after.params)
        assert before.schedule == after.schedule


def test_from_frame_sorts_and_keeps_metadata():
    frame = pd.DataFrame({"run": "a", "step": [3, 1, 2], "loss": [1.0, 3, 2], "lr": [0.1, 0.1, 0.1], "seed": 7})
    (c,) = CurveSet.from_frame(frame)
    assert c.steps.tolist() == [1, 2, 3]
    assert c.loss.tolist() == [3, 2, 1]
    assert c.metadata == {"seed": 7}
    assert c.schedule.lr.tolist() == [0.1] * 3


def test_from_frame_takes_specs():
    frame = pd.DataFrame({"run": ["a", "b"], "step": [3, 4], "loss": [1.0, 2.0]})
    spec = "constant(peak_lr=0.5, total_steps=5)"
    assert [c.schedule.lr.tolist() for c in CurveSet.from_frame(frame, schedules=spec)] == [[0.5] * 5] * 2
    given = {"a": spec, "b": Schedule(lr=np.ones(4))}
    assert [c.schedule.total_steps for c in CurveSet.from_frame(frame, schedules=given)] == [5, 4]
    with pytest.raises(CurveError, match="run 'b' has no schedule"):
        CurveSet.from_frame(frame, schedules={"a": spec})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"run": "a", "step": [1]}, "the column 'loss' is missing"),
        ({"run": [None], "step": [1], "loss": [1.0]}, "1 rows have no run"),
        ({"run": "a", "step": [1], "loss": ["x"]}, "the column 'loss' has type"),
        ({"run": "a", "step": [1], "loss": [1.0]}, "run 'a' has no schedule"),
        ({"run": "a", "step": [1, 2], "loss": [1.0, 1], "seed": [1, 2]}, "run 'a' has 2 values of 'seed'"),
        ({"run": "a", "step": [1, 1], "loss": [1.0, 1], "lr": [1.0, 1]}, "strictly increasing"),
    ],
)
def test_wrong_frames_give_one_line(columns, message):
    with pytest.raises(CurveError, match=message):
        CurveSet.from_frame(pd.DataFrame(columns))


def test_the_rates_of_all_runs_fit_into_memory(monkeypatch):
    monkeypatch.setattr("bayeslr.curves.curveset.MAX_UPDATES", 19)
    with pytest.raises(CurveError, match=r"20 updates in 2 runs; allowed: 19 together"):
        CurveSet(curves=(curve("a"), curve("b")))


def test_a_table_of_absurd_steps_costs_no_memory():
    table = pd.DataFrame({"run": "a", "step": [1, 10**9], "loss": [3.0, 2.0], "lr": [1e-3, 1e-3]})
    with pytest.raises(CurveError, match="allowed: 1 to 20000000"):
        CurveSet.from_frame(table)
    with pytest.raises(CurveError, match="1 rows have no step"):
        CurveSet.from_frame(table.assign(step=[1, np.nan]))


def test_a_size_without_a_label_is_called_by_its_parameters():
    named = CurveSet(curves=(replace(curve("a"), size=None, params=80e3), replace(curve("b"), size="25M", params=25e6)))
    assert repr(named).endswith("sizes 80k, 25M)")
    assert "80k" in named._repr_html_()
    unknown = CurveSet(curves=(replace(curve("a"), size=None, params=None),))
    assert repr(unknown).endswith("observations)")
