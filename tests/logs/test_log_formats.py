"""Every format gives the same curve: steps, losses and rates as they were written."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from bayeslr.errors import DataWarning, LogError
from bayeslr.logs import read_logs
from bayeslr.logs.formats import open_log
from bayeslr.logs.tidy import tidy

STEPS = list(range(100, 1100, 100))
LOSS = [5 - i / 7 for i in range(10)]
LR = [5e-4, *(1e-3 * (1 - i / 20) for i in range(1, 10))]
TRAIN = [x + 0.1 for x in LOSS]
FRAME = pd.DataFrame({"step": STEPS, "lr": LR, "loss": LOSS})


def assert_same(log):
    assert log.steps.tolist() == STEPS
    np.testing.assert_allclose(log.loss, LOSS, rtol=1e-15)
    assert log.rate_steps.tolist() == STEPS
    np.testing.assert_allclose(log.rates, LR, rtol=1e-15)


def read(path, **names):
    return tidy(open_log(path), **names)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_csv(tmp_path, separator, encoding, line_end):
    path = tmp_path / "run.csv"
    text = FRAME.to_csv(index=False, sep=separator, lineterminator=line_end)
    path.write_bytes(text.encode(encoding))
    assert_same(read(path))


def test_gzip(tmp_path):
    path = tmp_path / "run.csv.gz"
    path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))
    assert_same(read(path))
    assert read_logs(path).names == ("run",)


def test_csv_with_quotes_blank_lines_and_floats_for_steps(tmp_path):
    path = tmp_path / "run.csv"
    rows = [f'"{s / 1e3}e3","a, ""b""",{loss!r},{lr!r}' for s, loss, lr in zip(STEPS, LOSS, LR, strict=True)]
    path.write_text("\n".join(["", "Step,note,Loss,LR", "", *rows, "", ""]))
    assert_same(read(path))


def test_lightning_metrics_with_alternating_rows(tmp_path):
    rows = []
    for i, step in enumerate(STEPS):
        rows.append({"epoch": 0, "step": step, "lr-AdamW": LR[i], "train_loss": TRAIN[i]})
        rows.append({"epoch": 0, "step": step, "val_loss": LOSS[i]})
    (tmp_path / "version_0").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "version_0" / "metrics.csv", index=False)
    log = read(tmp_path)
    assert_same(log)
    assert "'val_loss' was taken, not 'train_loss'" in log.notes[0]


def test_wandb_export_with_sparse_columns(tmp_path):
    """Two counters: W&B's own counts calls, the trainer's counts updates."""
    rows = []
    for i, step in enumerate(STEPS):
        rows.append({"_step": 2 * i, "trainer/global_step": step, "train/loss": TRAIN[i], "train/learning_rate": LR[i]})
        rows.append({"_step": 2 * i + 1, "trainer/global_step": step, "eval/loss": LOSS[i]})
    path = tmp_path / "export.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    assert_same(read(path))
    assert read(path, step="_step", loss="train/loss").steps.tolist() == list(range(2, 20, 2))


def test_wandb_chart_export(tmp_path):
    path = tmp_path / "chart.csv"
    columns = ["Step", "run1 - eval/loss", "run1 - eval/loss__MIN", "run1 - eval/loss__MAX"]
    pd.DataFrame(zip(STEPS, LOSS, LOSS, LOSS, strict=True), columns=columns).to_csv(path, index=False)
    assert read(path).loss.tolist() == LOSS


def test_tensorboard_export(tmp_path):
    path = tmp_path / "tb.csv"
    pd.DataFrame({"Wall time": np.arange(10.0), "Step": STEPS, "Value": LOSS}).to_csv(path, index=False)
    assert read(path).loss.tolist() == LOSS


def test_jsonl(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"type": "config", "model": {"layers": 3}}]
    for i, step in enumerate(STEPS):
        lines.append({"step": step, "train": {"loss": TRAIN[i], "learning_rate": LR[i]}})
        lines.append({"step": step, "val": {"loss": LOSS[i]}, "note": None})
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert_same(read(path))


def test_json_list_and_single_object(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(FRAME.to_json(orient="records", double_precision=15, indent=1))
    np.testing.assert_allclose(read(path).loss, LOSS)
    path.write_text('{"step": 3, "loss": 2.5}')
    assert read(path).loss.tolist() == [2.5]


def test_hugging_face_trainer_state(tmp_path):
    history = []
    for i, step in enumerate(STEPS):
        history.append({"epoch": 0.1, "learning_rate": LR[i], "loss": TRAIN[i], "grad_norm": 1.0, "step": step})
        history.append({"epoch": 0.1, "eval_loss": LOSS[i], "eval_runtime": 1.0, "step": step})
    history.append({"epoch": 1.0, "train_loss": 4.0, "train_runtime": 9.0, "step": STEPS[-1]})
    for checkpoint, rows in ((500, history[:10]), (1000, history)):
        folder = tmp_path / f"checkpoint-{checkpoint}"
        folder.mkdir()
        state = {"best_metric": None, "log_history": rows, "global_step": checkpoint}
        (folder / "trainer_state.json").write_text(json.dumps(state, indent=2))
    assert_same(read(tmp_path))
    # Without evaluations the running training loss counts, not the mean that the Trainer appends.
    np.testing.assert_allclose(read(tmp_path, loss="loss").loss, TRAIN)


def event_file(folder, *, new_style, losses=LOSS, steps=STEPS):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar.summary import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for i, step in enumerate(steps):
        for tag, value in (
            ("train/learning_rate", LR[i % 10]),
            ("train/loss", TRAIN[i % 10]),
            ("eval/loss", losses[i]),
        ):
            summary = (
                scalar_pb(tag, value) if new_style else Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            )
            writer.add_event(Event(step=step, wall_time=1e9 + step, summary=summary))
    writer.close()


@pytest.mark.parametrize("new_style", [False, True])
def test_tensorboard_events(tmp_path, new_style):
    event_file(tmp_path / "run" / "events", new_style=new_style)
    for path in (tmp_path / "run", tmp_path / "run" / "events", next((tmp_path / "run" / "events").iterdir())):
        log = read(path)
        assert log.steps.tolist() == STEPS
        np.testing.assert_allclose(log.loss, LOSS, rtol=1e-6)  # the format holds float32
        np.testing.assert_allclose(log.rates, LR, rtol=1e-6)


def test_tensorboard_events_are_not_sampled(tmp_path):
    """TensorBoard's reader keeps 10,000 scalars unless told otherwise."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    steps = range(1, 10_502)
    with (tmp_path / "events.out.tfevents.1.host").open("wb") as file:
        writer = RecordWriter(file)
        for step in steps:
            value = Summary.Value(tag="val/loss", simple_value=1 / step)
            writer.write(Event(step=step, wall_time=step, summary=Summary(value=[value])).SerializeToString())
    assert read(tmp_path).steps.tolist() == list(steps)


def test_several_runs_get_their_folders_names(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        FRAME.to_csv(tmp_path / name / "metrics.csv", index=False)
    paths = [tmp_path / name / "metrics.csv" for name in ("a", "b")]
    assert read_logs(paths).names == ("a/metrics", "b/metrics")
    assert read_logs([path.parent for path in paths]).names == ("a", "b")
    assert read_logs({"x": paths[0], "y": paths[1]}).names == ("x", "y")
    with pytest.raises(LogError, match="2 logs would be called 'a/metrics'"):
        read_logs([paths[0], paths[0]])


def test_options_of_read_logs(tmp_path):
    for name in ("a", "b"):
        FRAME.drop(columns="lr").to_csv(tmp_path / f"{name}.csv", index=False)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    specs = {name: f"constant(peak_lr={lr}, total_steps=1000)" for name, lr in (("a", 1e-3), ("b", 2e-3))}
    curves = read_logs(paths, schedule=specs, size={"a": "25M"}, params={"b": "1.5e8"})
    assert [(c.schedule.peak_lr, c.size, c.params) for c in curves] == [(1e-3, "25M", 25e6), (2e-3, None, 1.5e8)]
    with pytest.raises(LogError, match="schedule: there is no run 'c'; runs: a, b"):
        read_logs(paths, schedule={**specs, "c": specs["a"]})


def test_what_is_true_of_many_logs_is_said_once(tmp_path):
    for i in range(5):
        FRAME.assign(val_loss=LOSS).to_csv(tmp_path / f"{i}.csv", index=False)
    with pytest.warns(DataWarning) as said:
        read_logs(sorted(tmp_path.iterdir()))
    assert len(said) == 1
    assert "0.csv and 4 more: several columns may be the loss: 'val_loss' was taken" in str(said[0].message)
    assert said[0].filename == __file__


def test_table_of_a_log(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,lr,loss\n1,0.5,\n2,,3\n3,0.25,2\n")
    frame = read(path).to_frame()
    assert frame["step"].tolist() == [2, 3]
    assert frame["loss"].tolist() == [3, 2]
    np.testing.assert_array_equal(frame["lr"], [np.nan, 0.25])
