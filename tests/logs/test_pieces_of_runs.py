"""Folders whose files are pieces of one run, one after the other or a quantity each."""

import numpy as np
import pandas as pd
import pytest
from smooth_run import EVERY_50, LOSS, LR, STEPS, assert_whole, loss_at, only, rate_at, read, write

from bayeslr.errors import LogError
from bayeslr.logs.draft import draft
from bayeslr.logs.reading import read_curves
from bayeslr.logs.sources import ColumnNames

TABLE = pd.DataFrame({"step": EVERY_50, "loss": [loss_at(s) for s in EVERY_50], "lr": [rate_at(s) for s in EVERY_50]})
LATE = TABLE[TABLE["step"] > 800]
EARLY = TABLE[TABLE["step"] <= 1000]


def console(frame):
    return "".join(f"step {row.step} | loss {row.loss:.9f} | lr {row.lr:.9e}\n" for row in frame.itertuples())


@pytest.mark.parametrize(
    "names",
    [
        ("part_1.csv", "part_2.csv"),
        ("metrics.csv", "metrics_resumed.csv"),
        ("2024-05-01.csv", "2024-05-02.csv"),
        ("version_0/metrics.csv", "version_1/metrics.csv"),
        ("slurm-1002.csv", "slurm-1001.csv"),
    ],
)
def test_files_that_go_on_from_each_other_are_one_run(tmp_path, names):
    folder = tmp_path / "run"
    for name, frame in zip(names, (EARLY, LATE), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder, frame, name)
    curve, notes = only(folder)
    assert curve.name == "run"
    assert_whole(curve, EVERY_50)
    assert "are pieces of one run, each of which goes on from the one before" in " ".join(notes)
    assert names[0] in notes[0]


def test_what_jobs_printed_one_after_the_other_is_one_run(tmp_path):
    for name, frame in (("slurm-101.out", EARLY), ("slurm-102.out", TABLE[TABLE["step"] > 1000])):
        (tmp_path / name).write_text(console(frame))
    curve, _ = only(tmp_path)
    assert curve.steps.tolist() == list(EVERY_50)
    np.testing.assert_allclose(curve.loss, TABLE["loss"], rtol=1e-7)


def test_a_manifest_of_pieces_has_the_folder(tmp_path):
    (tmp_path / "run").mkdir()
    write(tmp_path / "run", EARLY, "part_1.csv")
    write(tmp_path / "run", TABLE[TABLE["step"] > 1000], "part_2.csv")
    drawn = draft(tmp_path / "run", folder=tmp_path, columns=ColumnNames())
    assert [row["file"] for row in drawn.rows] == ["run"]
    drawn.write(tmp_path / "runs.csv")
    with pytest.warns(match="are pieces of one run"):
        (curve,) = read_curves(tmp_path / "runs.csv")
    assert_whole(curve, EVERY_50)


def cool_down(frame):
    return frame.assign(lr=np.linspace(1e-3, 0, len(frame)))


@pytest.mark.parametrize(
    ("second", "name"),
    [
        (TABLE.assign(loss=TABLE["loss"] + 0.1), "run_2.csv"),  # from the beginning
        (cool_down(LATE), "run_2.csv"),  # other rates
        (LATE.assign(loss=LATE["loss"] + 0.3), "run_2.csv"),  # other losses
        (LATE, "cool_2.csv"),  # another name
    ],
)
def test_other_files_of_a_folder_are_runs_of_their_own(tmp_path, second, name):
    write(tmp_path, EARLY, "run_1.csv")
    write(tmp_path, second, name)
    curves, notes = read(tmp_path, allow_late_start=True)
    assert len(curves) == 2
    assert "pieces" not in " ".join(notes)


def test_a_second_table_beside_metrics_csv_is_not_left_out_in_silence(tmp_path):
    write(tmp_path, TABLE, "metrics.csv")
    write(tmp_path, TABLE.assign(loss=TABLE["loss"] + 0.1), "metrics_2.csv")
    curves, notes = read(tmp_path)
    assert [curve.name for curve in curves] == ["metrics", "metrics_2"]
    assert "left out" not in " ".join(notes)


def test_a_table_for_each_quantity(tmp_path):
    write(tmp_path, {"step": STEPS, "loss": LOSS}, "loss.csv")
    write(tmp_path, {"Step": STEPS, "lr": LR}, "lr.csv")
    curve, notes = only(tmp_path)
    assert_whole(curve)
    np.testing.assert_allclose(curve.lr, LR, rtol=1e-3)
    assert notes == []


def test_an_export_of_each_chart(tmp_path):
    for metric, values in (("train/loss", LOSS), ("train/lr", LR)):
        chart = {f"{run} - {metric}{end}": values for run in "ab" for end in ("", "__MIN", "__MAX")}
        write(tmp_path, {"Step": STEPS, **chart}, f"wandb_export_{metric[6:]}.csv")
    curves, notes = read(tmp_path)
    assert [curve.name for curve in curves] == ["a", "b"]
    for curve in curves:
        assert_whole(curve)
    assert "left out" not in " ".join(notes)


def test_tables_of_several_runs_that_share_a_quantity_are_not_put_together(tmp_path):
    write(tmp_path, {"step": STEPS, "loss": LOSS}, "a.csv")
    write(tmp_path, {"step": STEPS, "loss": LOSS}, "b.csv")
    write(tmp_path, {"step": STEPS, "lr": LR}, "lr.csv")
    curves, notes = read(tmp_path, schedule="constant(peak_lr=1e-3, total_steps=2000)")
    assert len(curves) == 2
    assert "lr.csv" in notes[0]


def test_another_table_beside_metrics_csv_is_named(tmp_path):
    write(tmp_path, TABLE, "metrics.csv")
    write(tmp_path, {"step": STEPS, "val_loss": LOSS}, "eval.csv")
    _, notes = only(tmp_path)
    assert "metrics.csv is read, and eval.csv beside it, with losses, too, left out" in notes[0]


def test_steps_that_the_other_columns_call_samples_are_none(tmp_path):
    for name, values in (("train_loss", LOSS), ("lr", LR)):
        write(tmp_path, {"step": STEPS, f"Train/Samples/{name}": values}, f"Train_Samples_{name}.csv")
    with pytest.raises(LogError, match=r"no column for the step \(samples, .* counts something else than updates"):
        read(tmp_path)
