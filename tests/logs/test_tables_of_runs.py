"""Tables of several runs, processes or groups of parameters, and what they say of sizes."""

import json

import numpy as np
import pandas as pd
import pytest
import smooth_run

from bayeslr import schedules
from bayeslr.errors import LogError
from bayeslr.logs import read_curves

STEPS = np.arange(20, 2001, 20)
RATES = schedules.cosine(peak_lr=1e-3, final_lr=1e-4, warmup_steps=100, total_steps=2000).lr[STEPS - 1]


def losses(level=2.5):
    return level + 6.0 * STEPS**-0.5


def table(**more):
    return pd.DataFrame({"step": STEPS, "lr": RATES, "loss": losses(), **more})


def read(path, **options):
    """The curves, and what was said about them."""
    curves, notes = smooth_run.read([path], **options)
    return curves, " ".join(notes)


@pytest.mark.parametrize("column", ["d_model", "n_layer", "hidden_size", "wd", "batch_size", "lr_peak"])
@pytest.mark.parametrize("in_turn", [False, True])
def test_a_number_of_a_setting_tells_runs_apart(tmp_path, column, in_turn):
    both = pd.concat([table(**{column: 256}), table(**{column: 512}).assign(loss=losses(2.3))])
    both = both.sort_values("step", kind="stable") if in_turn else both
    both.to_csv(tmp_path / "log.csv", index=False)
    curves, said = read(tmp_path / "log.csv")
    assert [curve.loss[-1] for curve in curves] == pytest.approx([losses()[-1], losses(2.3)[-1]])
    assert not said
    shapes = column in ("d_model", "n_layer", "hidden_size")
    assert [curve.size for curve in curves] == ([f"{column} 256", f"{column} 512"] if shapes else [None, None])


@pytest.mark.parametrize(
    ("column", "values", "params"),
    [
        ("n_params", (25_000_000, 100_000_000), [25e6, 100e6]),
        ("params_M", (25, 100), [25e6, 100e6]),
        ("N", (25e6, 100e6), [25e6, 100e6]),
        ("model", ("25M", "100M"), [25e6, 100e6]),
        ("size", ("small", "large"), [None, None]),
    ],
)
def test_a_table_says_the_sizes_of_its_runs(tmp_path, column, values, params):
    frames = [table(run=f"run {k}", **{column: value}) for k, value in enumerate(values)]
    pd.concat(frames).to_csv(tmp_path / "log.csv", index=False)
    curves, _ = read(tmp_path / "log.csv")
    assert [curve.params for curve in curves] == params
    # what the caller says counts
    curves, _ = read(tmp_path / "log.csv", params=7e6, size="mine")
    assert {(curve.params, curve.size) for curve in curves} == {(7e6, "mine")}


@pytest.mark.parametrize("column", ["rank", "local_rank", "param_group", "gpu"])
@pytest.mark.parametrize("end", ["csv", "jsonl"])
def test_one_of_several_rows_a_step_is_taken_and_said(tmp_path, column, end):
    """The order in which processes write does not matter."""
    frames = [table(**{column: k}).assign(loss=losses(2.5 + 0.1 * k), lr=RATES / 10**k) for k in (2, 0, 1)]
    both = pd.concat(frames).sort_values("step", kind="stable")
    path = tmp_path / f"log.{end}"
    if end == "csv":
        both.to_csv(path, index=False)
    else:
        both.to_json(path, orient="records", lines=True)
    (curve,), said = read(path)
    np.testing.assert_allclose(curve.loss, losses(), rtol=1e-6)
    assert curve.schedule.peak_lr == pytest.approx(RATES.max(), rel=1e-5)
    assert f"told apart by '{column}': those of '0' were taken, not '1', '2'" in said


def test_groups_of_parameters_by_name_are_no_runs(tmp_path):
    both = pd.concat([table(param_group="decay"), table(param_group="no_decay").assign(lr=RATES / 10)])
    both.sort_values("step", kind="stable").to_csv(tmp_path / "log.csv", index=False)
    (curve,), said = read(tmp_path / "log.csv")
    assert curve.schedule.peak_lr == pytest.approx(RATES.max(), rel=1e-5)
    assert "those of 'decay' were taken, not 'no_decay'" in said


@pytest.mark.parametrize("column", ["shard", "device", "rank"])
def test_steps_that_only_one_process_wrote_are_kept(tmp_path, column):
    table(**{column: np.arange(STEPS.size) % 4}).to_csv(tmp_path / "log.csv", index=False)
    (curve,), said = read(tmp_path / "log.csv")
    assert len(curve) == STEPS.size
    assert not said


def test_processes_that_wrote_of_different_splits_are_kept(tmp_path):
    frames = [table(rank=0, split="train"), table(rank=1, split="eval").assign(loss=losses(2.6))]
    pd.concat(frames).sort_values("step", kind="stable").to_csv(tmp_path / "log.csv", index=False)
    (curve,), said = read(tmp_path / "log.csv")
    np.testing.assert_allclose(curve.loss, losses(2.6))
    assert "those whose 'split' is 'eval' were taken" in said


def test_rates_that_another_process_wrote_are_kept(tmp_path):
    frames = [table(rank=1), table(rank=0).drop(columns="lr").assign(loss=losses(2.6))]
    pd.concat(frames).sort_values("step", kind="stable").to_csv(tmp_path / "log.csv", index=False)
    (curve,), _ = read(tmp_path / "log.csv")
    np.testing.assert_allclose(curve.loss, losses(2.6))
    assert curve.schedule.peak_lr == pytest.approx(RATES.max(), rel=1e-5)


@pytest.mark.parametrize(("column", "value"), [("batch_size", "2x512"), ("weight_decay", -0.1)])
def test_settings_that_are_no_numbers_are_left_out(tmp_path, column, value):
    frames = [table(run=name, **{column: value}).assign(loss=losses(level)) for name, level in (("a", 2.5), ("b", 2.4))]
    pd.concat(frames).to_csv(tmp_path / "log.csv", index=False)
    curves, _ = read(tmp_path / "log.csv")
    assert [getattr(curve, column) for curve in curves] == [None, None]


def test_all_widths_and_depths_that_differ_tell_sizes_apart(tmp_path):
    shapes = [(12, 256, 8), (12, 512, 8), (24, 512, 8)]
    frames = [
        table(run=f"run {k}", n_layer=depth, d_model=width, n_layers=same).assign(loss=losses(2.5 - 0.1 * k))
        for k, (depth, width, same) in enumerate(shapes)
    ]
    pd.concat(frames).to_csv(tmp_path / "log.csv", index=False)
    curves, _ = read(tmp_path / "log.csv")
    assert [curve.size for curve in curves] == [f"n_layer {depth}, d_model {width}" for depth, width, _ in shapes]


def test_processes_that_follow_each_other_are_restarts(tmp_path):
    frames = [table(rank=0).iloc[:60], table(rank=1).iloc[50:]]
    pd.concat(frames).to_csv(tmp_path / "log.csv", index=False)
    (curve,), said = read(tmp_path / "log.csv")
    assert curve.steps[-1] == 2000
    assert "after a restart" in said


def test_a_loss_of_the_last_rank_alone_is_read(tmp_path):
    frames = [table(rank=0).assign(loss=np.nan), table(rank=1)]
    pd.concat(frames).sort_values("step", kind="stable").to_csv(tmp_path / "log.csv", index=False)
    (curve,), _ = read(tmp_path / "log.csv")
    np.testing.assert_allclose(curve.loss, losses())


def test_a_table_of_runs_is_no_log(tmp_path):
    """W&B's list of runs has a row a run, whose losses are not one history."""
    frame = pd.DataFrame(
        {"Name": ["a", "b", "c", "d"], "_step": [2000, 4000, 8000, 9000], "lr": 1e-3, "val_loss": [3.0, 2.9, 2.8, 2.7]}
    )
    frame.to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(LogError, match="one loss, at step 2000, and one rate"):
        read(tmp_path / "runs.csv")
    frame.drop(columns="_step").to_csv(tmp_path / "runs.csv", index=False)
    with pytest.raises(LogError, match="each row has another 'Name': a table of runs has no histories"):
        read(tmp_path / "runs.csv")
    # checkpoints of one run have names of their own, too
    frame.assign(Name=[f"checkpoint-{step}" for step in frame["_step"]]).to_csv(tmp_path / "runs.csv", index=False)
    curves, _ = read(tmp_path / "runs.csv")
    assert [curve.steps.tolist() for curve in curves] == [[2000, 4000, 8000, 9000]]


def test_histories_by_the_names_of_their_runs(tmp_path):
    path = tmp_path / "runs.json"
    runs = {"wsd": table(), "cosine": table().assign(loss=losses(2.3))}
    for given in (
        {name: frame.to_dict("list") for name, frame in runs.items()},
        {name: frame.to_dict("records") for name, frame in runs.items()},
    ):
        path.write_text(json.dumps(given))
        curves, said = read(path)
        assert [curve.name for curve in curves] == ["wsd", "cosine"]
        np.testing.assert_allclose(curves["cosine"].loss, losses(2.3))
        assert not said


def test_histories_by_split_are_one_run(tmp_path):
    rows = {"train": table().to_dict("records"), "val": table().assign(loss=losses(2.3)).to_dict("records")}
    (tmp_path / "run.json").write_text(json.dumps(rows))
    (curve,), _ = read(tmp_path / "run.json")
    np.testing.assert_allclose(curve.loss, losses(2.3))


def test_a_constant_rate_times_its_multiplier(tmp_path):
    table().to_csv(tmp_path / "plain.csv", index=False)
    (plain,), _ = read(tmp_path / "plain.csv")
    table(lr_scale=RATES / 1e-3).assign(lr=1e-3).to_csv(tmp_path / "log.csv", index=False)
    (curve,), said = read(tmp_path / "log.csv")
    np.testing.assert_allclose(curve.schedule.lr, plain.schedule.lr)
    assert "'lr' is 0.001 throughout and 'lr_scale' changes: their product was taken" in said
    # a rate that changes has been multiplied already
    table(lr_scale=RATES / 1e-3).to_csv(tmp_path / "log.csv", index=False)
    (curve,), said = read(tmp_path / "log.csv")
    np.testing.assert_allclose(curve.schedule.lr, plain.schedule.lr)
    assert not said


def test_a_fall_between_two_constant_stretches_is_spoken_of(tmp_path):
    frame = table().assign(lr=np.where(STEPS <= 1000, 1e-3, 8e-4)).iloc[4::5]
    frame.to_csv(tmp_path / "log.csv", index=False)
    _, said = read(tmp_path / "log.csv")
    assert "the rate falls from 0.001 at step 1000 to 0.0008 at step 1100" in said


def test_text_above_the_header_is_left_out(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("Loss of our second run, in nats\n\n" + table().to_csv(index=False))
    (curve,), said = read(path)
    np.testing.assert_allclose(curve.loss, losses())
    assert "1 line of text above the header" in said


@pytest.mark.parametrize("name", ["loss (nats)", "val loss [nats/token]", "Validation loss (nats per token)"])
def test_the_unit_in_the_name_of_a_loss_is_no_part_of_it(tmp_path, name):
    table().rename(columns={"loss": name}).to_csv(tmp_path / "log.csv", index=False)
    (curve,), _ = read(tmp_path / "log.csv")
    np.testing.assert_allclose(curve.loss, losses())


@pytest.mark.parametrize(
    ("column", "values", "params", "size"),
    [
        ("params_M", ("25", "100"), [25e6, 100e6], [None, None]),
        ("num_params (B)", ("0.025", "0.1"), [25e6, 100e6], [None, None]),
        ("N", ("25000000", "1e8"), [25e6, 100e6], [None, None]),
        ("N", ("1", "2"), [None, None], [None, None]),
        ("model", ("25M", "100M"), [25e6, 100e6], ["25M", "100M"]),
        ("model", ("gpt", "llama"), [None, None], [None, None]),
    ],
)
def test_other_names_of_sizes_in_a_manifest(tmp_path, column, values, params, size):
    table().to_csv(tmp_path / "a.csv", index=False)
    table().assign(loss=losses(2.3)).to_csv(tmp_path / "b.csv", index=False)
    rows = "".join(f"{name},{name}.csv,{value},0.5M\n" for name, value in zip("ab", values, strict=True))
    (tmp_path / "runs.csv").write_text(f"run,file,{column},batch_size\n{rows}")
    curves = read_curves(tmp_path / "runs.csv")
    assert [curve.params for curve in curves] == params
    assert [curve.size for curve in curves] == size
    assert {curve.batch_size for curve in curves} == {5e5}
