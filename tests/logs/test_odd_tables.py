"""Logs that are easily misread: held, rounded and restarted columns, resumed runs, sizes under other names."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import smooth_run
from smooth_run import write

from bayeslr import schedules
from bayeslr.errors import CurveError, DataWarning, LogError, ManifestError
from bayeslr.logs import read_curves

STEPS = np.arange(10, 2001, 10)
WARMUP = 400
PLAN = schedules.cosine(peak_lr=1e-3, final_lr=1e-4, warmup_steps=WARMUP, total_steps=2000)
RATES = PLAN.lr[STEPS - 1]


def losses(steps=STEPS, level=2.5):
    return level + 6.0 * (np.asarray(steps) + 20.0) ** -0.5


def table(rows=slice(None), **more):
    return pd.DataFrame({"step": STEPS, "lr": RATES, "loss": losses(), **more})[rows]


def read(paths, **options):
    """The curves, and what was said about them."""
    curves, notes = smooth_run.read(paths, **options)
    return curves, " ".join(notes)


@pytest.mark.parametrize("keys", [("size", "seed"), ("d_model", "peak_lr"), ("width_mult",), ("x",)])
def test_columns_that_change_where_steps_begin_again_name_the_runs(tmp_path, keys):
    combinations = [{key: 1 + (k >> i & 1) for i, key in enumerate(keys)} for k in range(2 ** len(keys))]
    frames = [table(**given).assign(loss=losses(level=2.5 - 0.1 * k)) for k, given in enumerate(combinations)]
    curves, said = read(write(tmp_path, pd.concat(frames)))
    assert [curve.loss[-1] for curve in curves] == pytest.approx([frame["loss"].iloc[-1] for frame in frames])
    assert "restart" not in said


@pytest.mark.parametrize("column", ["ep", "cycle", "shard_idx", "x"])
def test_epochs_that_count_their_own_steps_are_one_run(tmp_path, column):
    """Whatever is constant within each of them, the loss goes on."""
    epochs = table(**{column: np.repeat([0, 1, 2, 3], STEPS.size // 4)}).assign(step=(STEPS - 1) % 500 + 1)
    (curve,), said = read(write(tmp_path, epochs))
    assert curve.steps[-1] == 2000
    assert "they are counted on from" in said


@pytest.mark.parametrize("column", ["layer", "layer_id", "param", "head"])
def test_rows_about_the_parts_of_a_model_are_one_run(tmp_path, column):
    rows = pd.concat([table(**{column: k}) for k in range(3)]).sort_values("step", kind="stable")
    curves, _ = read(write(tmp_path, rows))
    assert len(curves) == 1


def test_a_run_at_a_lower_rate_does_not_go_on_with_the_one_before(tmp_path):
    """The rate of the second begins where that of the first ended; its loss begins anew."""
    rows = pd.concat([table(), table().assign(lr=1e-4)])
    (curve,), said = read(write(tmp_path, rows))
    assert curve.steps[-1] == 2000
    assert "restart" in said


def test_a_column_that_changes_elsewhere_names_no_run(tmp_path):
    """Two halves of a run that began anew, with a value that belongs to the time of day."""
    both = pd.concat([table(), table()]).assign(x=np.repeat([1, 2, 3, 4], STEPS.size // 2))
    curves, said = read(write(tmp_path, both))
    assert len(curves) == 1
    assert "if these are several runs, a column has to name them" in said


@pytest.mark.parametrize("digits", [2, 3])
def test_held_evaluations_with_equal_neighbours_count_once(tmp_path, digits):
    """Each stands in ten rows, or in twenty where the next one has the same value after rounding."""
    measured = losses(STEPS[9::10]).round(digits)
    held = np.concatenate([np.full(9, np.nan), np.repeat(measured, 10)])[: STEPS.size]
    (curve,), said = read(write(tmp_path, table(val_loss=held)))
    assert len(curve) == measured.size
    assert (curve.steps == STEPS[9::10]).all()
    assert "each loss stands in 10 rows" in said


@pytest.mark.parametrize("every", [5, 10])
def test_a_warmup_of_held_rates_is_read_to_its_end(tmp_path, every):
    held = np.repeat(RATES[::every], every)[: STEPS.size]
    (curve,), said = read(write(tmp_path, table().assign(lr=held)))
    assert abs(curve.schedule.warmup_steps - WARMUP) <= 10 * every
    assert f"each rate stands in {every} rows" in said


def test_rates_that_are_lowered_in_equal_steps_stay_as_they_are(tmp_path):
    stairs = 1e-3 * 0.9 ** np.repeat(np.arange(20), 10)
    (curve,), said = read(write(tmp_path, table().assign(lr=stairs)))
    assert curve.schedule.lr[STEPS - 1] == pytest.approx(stairs, rel=0.11)
    assert np.unique(curve.schedule.lr).size < 20 * 11
    assert "stands in" not in said


@pytest.mark.parametrize("peak", [3e-4, 6e-4, 1e-3])
def test_rates_with_too_few_digits_are_spoken_of(tmp_path, peak):
    _, said = read(write(tmp_path, table().assign(lr=(RATES * peak / 1e-3).round(4))))
    assert "multiples of 0.0001: rounded, as printed with too few digits" in said


@pytest.mark.parametrize("warmup", [50, 100, 200])
def test_a_linear_warmup_is_not_rounded(tmp_path, warmup):
    _, said = read(write(tmp_path, table().assign(lr=1e-3 * np.minimum(STEPS / warmup, 1.0))))
    assert not said


@pytest.mark.parametrize("levels", [[1.0, 0.5, 0.25], [1.0, 0.1, 0.01], [1.0, 0.8, 0.6, 0.4, 0.2]])
def test_a_few_levels_are_a_schedule(tmp_path, levels):
    until = np.sort(np.random.default_rng(len(levels)).integers(200, 1900, size=len(levels) - 1))
    lr = 1e-3 * np.array(levels)[np.searchsorted(until, STEPS)]
    _, said = read(write(tmp_path, table().assign(lr=lr)))
    assert "rounded" not in said


def test_a_rise_between_two_rows_is_spoken_of(tmp_path):
    restarts = 1e-4 + 9e-4 * (1.0 - (STEPS % 500) / 500.0)
    (_,), said = read(write(tmp_path, table().assign(lr=restarts)[9::10]))
    assert "the rate rises from" in said


def test_a_setting_before_the_first_update_is_no_rate(tmp_path):
    frame = pd.concat([pd.DataFrame({"step": [0], "lr": [1e-3], "loss": [np.nan]}), table()])
    (curve,), said = read(write(tmp_path, frame))
    assert abs(curve.schedule.warmup_steps - WARMUP) <= 10
    assert "the rate of 0.001 at step 0" in said


@pytest.mark.parametrize("name", ["lr_now", "lr_t", "lr_decayed", "lr_actual", "scheduled_lr"])
def test_the_rate_that_changes_is_taken_under_further_names(tmp_path, name):
    (curve,), said = read(write(tmp_path, table(**{name: RATES}).assign(lr=1e-3)))
    assert curve.schedule.final_lr == pytest.approx(1e-4, rel=0.01)
    assert f"{name!r} was taken, not 'lr'" in said


@pytest.mark.parametrize("end", ["csv", "jsonl"])
def test_of_the_rates_of_several_groups_the_first_is_taken(tmp_path, end):
    frame = table().assign(lr=[[rate, 0.1 * rate] for rate in RATES])
    path = tmp_path / f"log.{end}"
    frame.to_csv(path, index=False) if end == "csv" else frame.to_json(path, orient="records", lines=True)
    (curve,), said = read(path)
    assert curve.schedule.peak_lr == pytest.approx(1e-3, rel=0.01)
    assert "'lr' has several rates a row" in said
    # of losses there is one
    frame = table().assign(loss=[[loss, 0.1] for loss in losses()])
    frame.to_csv(path, index=False) if end == "csv" else frame.to_json(path, orient="records", lines=True)
    with pytest.raises(LogError, match=r"loss is .*\[.*allowed: a number, or nothing"):
        read(path)


def test_steps_that_begin_again_while_the_rate_goes_on_are_counted_on(tmp_path):
    """The loss of the last epochs hardly changes; the rate does."""
    loss = losses() + 0.05 * np.random.default_rng(0).standard_normal(STEPS.size)
    (curve,), said = read(write(tmp_path, table().assign(step=(STEPS - 1) % 500 + 1, loss=loss)))
    assert curve.steps[-1] == 2000
    assert len(curve) == STEPS.size
    assert "they are counted on from" in said


@pytest.mark.parametrize("apart", [1, 2])
def test_a_resumed_run_in_two_logs_is_joined(tmp_path, apart):
    paths = [
        write(tmp_path, table(slice(None, 100)), "a.csv"),
        write(tmp_path, table(slice(99 + apart, None)), "b.csv"),
    ]
    curves, said = read(paths)
    assert curves["b"].steps[0] == 10
    assert curves["b"].schedule.warmup_steps == pytest.approx(WARMUP, abs=10)
    np.testing.assert_allclose(curves["b"].schedule.lr[1000:], PLAN.lr[999:-1], rtol=0.02)
    assert "taken as a branch of 'a'" in said
    (tmp_path / "runs.csv").write_text("run,file,parent\na,a.csv,\nb,b.csv,a\n")
    joined = read_curves(tmp_path / "runs.csv")
    np.testing.assert_array_equal(joined["b"].steps, curves["b"].steps)


def test_a_log_that_begins_much_later_is_not_joined(tmp_path):
    write(tmp_path, table(slice(None, 100)), "a.csv")
    write(tmp_path, table(slice(130, None)), "b.csv")
    (tmp_path / "runs.csv").write_text("run,file,parent\na,a.csv,\nb,b.csv,a\n")
    with pytest.raises(CurveError, match=r"end at 1000, with .*; allowed: a parent that reaches the branch point"):
        read_curves(tmp_path / "runs.csv")


def cool_downs(tmp_path):
    """A trunk at a constant rate, and two cool-downs that count their own steps."""
    trunk = pd.DataFrame({"step": np.arange(10, 4001, 10), "lr": 1e-3})
    trunk["lr"] = np.minimum(trunk["step"] / 100, 1.0) * 1e-3
    trunk["loss"] = losses(trunk["step"])
    write(tmp_path, trunk, "trunk.csv")
    own = np.arange(10, 201, 10)
    for at in (1000, 2000):
        frame = pd.DataFrame({"step": own, "lr": 1e-3 * (1.0 - own / 200), "loss": losses(at + own) - 1e-4 * own})
        write(tmp_path, frame, f"at{at}.csv")
    return tmp_path


def test_several_cool_downs_that_count_their_own_steps_are_spoken_of(tmp_path):
    _, said = read(cool_downs(tmp_path))
    assert "if it counts its own steps from a checkpoint, name its `parent`" in said


def test_a_wrong_branch_step_is_spoken_of(tmp_path):
    cool_downs(tmp_path)
    rows = "run,file,parent,branch_step\ntrunk,trunk.csv,,\na,at1000.csv,trunk,{}\nb,at2000.csv,trunk,{}\n"
    (tmp_path / "runs.csv").write_text(rows.format(2000, 1000))
    with pytest.warns(DataWarning, match="is it the right parent"):
        read_curves(tmp_path / "runs.csv")
    (tmp_path / "runs.csv").write_text(rows.format(1000, 2000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_curves(tmp_path / "runs.csv")


@pytest.mark.parametrize(("params", "said"), [("125", True), ("1.3", True), ("25000", False), ("125M", False)])
def test_params_in_millions_are_spoken_of(tmp_path, params, said):
    write(tmp_path, table())
    (tmp_path / "runs.csv").write_text(f"run,file,params\na,log.csv,{params}\n")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        read_curves(tmp_path / "runs.csv")
    assert any("in millions or billions" in str(warning.message) for warning in found) == said


def test_sizes_that_only_names_say_are_spoken_of(tmp_path):
    for name in ("gpt-25M", "gpt-125M"):
        write(tmp_path, table(), f"{name}.csv")
    _, said = read([tmp_path / "gpt-25M.csv", tmp_path / "gpt-125M.csv"])
    assert "the names of the runs say sizes (25M, 125M), which are not read" in said
    _, said = read([tmp_path / "gpt-25M.csv", tmp_path / "gpt-125M.csv"], params={"gpt-25M": "25M", "gpt-125M": "125M"})
    assert "which are not read" not in said


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("hot-1024x28", "hot-512x12"), "1024x28, 512x12"),
        (("L12H12D768_wsd", "L8H6D384_wsd"), "L12H12D768, L8H6D384"),
        (("d_model512", "d_model1024"), "d_model512, d_model1024"),
        # one shape, and numbers that are none
        (("hot-1024x28", "half-1024x28"), ""),
        (("decay_d1000_8x4", "decay_d2000_4x4"), ""),
    ],
)
def test_shapes_that_only_names_say_are_spoken_of(tmp_path, names, said):
    for name in names:
        write(tmp_path, table(), f"{name}.csv")
    _, found = read([tmp_path / f"{name}.csv" for name in names])
    assert (f"the names of the runs say sizes ({said}), which are not read" in found) == bool(said)
    assert ("which are not read" in found) == bool(said)


@pytest.mark.parametrize("column", ["Batch Size", "batch-size", "BATCH_SIZE", "Global Batch Size"])
def test_batch_and_weight_decay_by_other_spellings(tmp_path, column):
    write(tmp_path, table())
    (tmp_path / "runs.csv").write_text(f"Run,File,{column},wd\na,log.csv,2M tokens,0.1\n")
    (curve,) = read_curves(tmp_path / "runs.csv")
    assert (curve.batch_size, curve.weight_decay) == (2e6, 0.1)


def test_a_batch_that_is_no_number_names_its_line(tmp_path):
    write(tmp_path, table())
    (tmp_path / "runs.csv").write_text("run,file,batch_size\na,log.csv,512 x 2048\n")
    with pytest.raises(ManifestError, match=r"runs\.csv, line 2: batch_size is '512 x 2048'"):
        read_curves(tmp_path / "runs.csv")


def test_batches_in_different_units_are_spoken_of(tmp_path):
    write(tmp_path, table(), "a.csv")
    write(tmp_path, table().assign(loss=losses(level=2.4)), "b.csv")
    (tmp_path / "runs.csv").write_text("run,file,batch_size\na,a.csv,256\nb,b.csv,0.5M\n")
    with pytest.warns(DataWarning, match="batch sizes range from 256 to 500000"):
        read_curves(tmp_path / "runs.csv")


def test_one_log_for_two_runs_is_spoken_of(tmp_path):
    write(tmp_path, table())
    (tmp_path / "runs.csv").write_text("run,file,params\na,log.csv,25M\nb,log.csv,125M\n")
    with pytest.warns(DataWarning, match="the runs 'a' and 'b' have the same losses"):
        read_curves(tmp_path / "runs.csv")


@pytest.mark.parametrize("column", ["batch_size", "weight_decay"])
def test_what_tells_runs_apart_is_known_of_them(tmp_path, column):
    frames = [table(**{column: value}).assign(loss=losses(level=2.5 + value)) for value in (0.1, 0.2)]
    curves, _ = read(write(tmp_path, pd.concat(frames)))
    assert [getattr(curve, column) for curve in curves] == [0.1, 0.2]


def test_columns_of_pandas_in_json(tmp_path):
    path = tmp_path / "log.json"
    table(slice(9, None, 10)).reset_index(drop=True).to_json(path)
    (curve,), said = read(path)
    np.testing.assert_allclose(curve.loss, losses()[9::10])
    assert not said


def test_a_manifest_may_have_a_column_of_losses(tmp_path):
    write(tmp_path, table())
    (tmp_path / "runs.csv").write_text("run,file,loss\na,log.csv,2.6\n")
    (curve,) = read_curves(tmp_path / "runs.csv")
    assert len(curve) == STEPS.size


def test_a_run_may_be_called_like_a_split(tmp_path):
    frame = pd.DataFrame({"Step": STEPS, "eval - train/loss": losses(), "eval - lr": RATES, "b - train/loss": losses()})
    curves, said = read(write(tmp_path, frame.assign(**{"b - lr": RATES})))
    assert len(curves) == 2
    assert "different kinds of loss" not in said


def test_the_sum_of_a_run_in_its_last_row_is_no_choice(tmp_path):
    """Hugging Face's last row has a `train_loss` of the whole run."""
    rows = [{"step": s, "loss": v, "learning_rate": r} for s, r, v in table().itertuples(index=False, name=None)]
    rows.append({"step": 2000, "train_loss": 2.9})
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    (curve,), said = read(tmp_path / "trainer_state.json")
    assert len(curve) == STEPS.size
    assert not said


@pytest.mark.parametrize("name", ["excess_loss", "reward_loss", "log10_loss", "cumulative_loss", "grad_loss"])
def test_what_is_no_loss_is_not_taken_for_one(tmp_path, name):
    with pytest.raises(LogError, match="no column for the loss"):
        read(write(tmp_path, table().rename(columns={"loss": name})))


@pytest.mark.parametrize("mark", ["--", "#N/A", "?", "<NA>", "missing"])
def test_marks_of_missing_values(tmp_path, mark):
    losses_ = [f"{loss:.6f}" if k % 2 else mark for k, loss in enumerate(losses())]
    (curve,), said = read(write(tmp_path, table().assign(loss=losses_)))
    assert len(curve) == STEPS.size // 2
    assert not said


def test_rotated_logs_of_a_folder_are_joined(tmp_path):
    for name, part in (("train.log.1", table(slice(None, 100))), ("train.log", table(slice(100, None)))):
        lines = [f"step {s} | loss {v:.4f} | lr {r:.6e}\n" for s, r, v in part.itertuples(index=False, name=None)]
        (tmp_path / name).write_text("".join(lines))
    (curve,), said = read(tmp_path)
    assert curve.steps.tolist() == STEPS.tolist()
    assert "are pieces of one run" in said


def test_downloads_of_a_run_from_tensorboard_are_one_log(tmp_path):
    for tag, column in (("train_loss", "loss"), ("train_lr", "lr")):
        frame = pd.DataFrame({"Wall time": 1.7e9 + STEPS, "Step": STEPS, "Value": table()[column]})
        write(tmp_path, frame, f"run-25M_tag-{tag}.csv")
    (curve,), said = read(tmp_path)
    np.testing.assert_allclose(curve.loss, losses())
    assert curve.schedule.peak_lr == pytest.approx(1e-3, rel=0.01)
    assert not said
    # those of two runs are no log of one
    for tag in ("train_loss", "train_lr"):
        (tmp_path / f"run-25M_tag-{tag}.csv").rename(tmp_path / f"run-{tag}_tag-{tag}.csv")
    with pytest.raises(LogError, match="no schedule is given"):
        read(tmp_path)


def test_rates_in_place_of_losses_are_spoken_of(tmp_path):
    frame = pd.DataFrame({"Wall time": 1.7e9 + STEPS, "Step": STEPS, "Value": RATES})
    _, said = read(write(tmp_path, frame), schedule=PLAN)
    assert "are these rates, or another unit?" in said
