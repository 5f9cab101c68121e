"""JSON documents with a table in another form than one object a row; and what lies where logs are expected."""

import json

import numpy as np
import pytest
from smooth_run import LOSS, LR, STEPS, assert_whole, only, read, write

from bayeslr.errors import LogError
from bayeslr.logs import read_logs

ROWS = [list(row) for row in zip(STEPS, LOSS, LR, strict=True)]
QUANTITIES = {"loss": LOSS, "lr": LR}
DOCUMENTS = {
    "columns and data": {"columns": ["step", "loss", "lr"], "index": list(range(len(ROWS))), "data": ROWS},
    "values by steps": {name: dict(zip(map(str, STEPS), v, strict=True)) for name, v in QUANTITIES.items()},
    "Sacred": {f"training.{k}": {"steps": STEPS, "timestamps": [""] * 20, "values": v} for k, v in QUANTITIES.items()},
    "ClearML": {name: {name: {"name": name, "x": STEPS, "y": v}} for name, v in QUANTITIES.items()},
    "points": {
        name: [{"step": s, "value": one} for s, one in zip(STEPS, v, strict=True)] for name, v in QUANTITIES.items()
    },
    "points of a plot": {
        name: [{"x": s, "y": one} for s, one in zip(STEPS, v, strict=True)] for name, v in QUANTITIES.items()
    },
}


def history(losses=LOSS):
    return [{"step": s, "loss": loss, "lr": lr} for s, loss, lr in zip(STEPS, losses, LR, strict=True)]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("form", DOCUMENTS)
def test_tables_of_other_forms(tmp_path, form, indent):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(DOCUMENTS[form], indent=indent))
    curve, notes = only(path)
    assert_whole(curve)
    np.testing.assert_allclose(curve.lr, LR, rtol=1e-3)
    assert notes == []


def test_quantities_have_steps_of_their_own(tmp_path):
    path = tmp_path / "run.json"
    some = {"steps": STEPS[1::2], "values": LOSS[1::2]}
    path.write_text(json.dumps({"val": {"loss": some}, "lr": {"steps": STEPS, "values": LR}}))
    curve, _ = only(path)
    assert_whole(curve, STEPS[1::2])


LOSSES = {"a": LOSS, "b": [x + 0.1 for x in LOSS]}
CONFIG = {"lr": 1e-3}
RUNS = {
    "a list": json.dumps([{"name": name, "config": CONFIG, "history": history(x)} for name, x in LOSSES.items()]),
    "an indented list": json.dumps([{"run": name, "history": history(x)} for name, x in LOSSES.items()], indent=1),
    "a list of lists": json.dumps([{"name": n, "step": STEPS, "loss": x, "lr": LR} for n, x in LOSSES.items()]),
    "histories of lists": json.dumps(
        [{"name": n, "history": {"step": STEPS, "loss": x, "lr": LR}} for n, x in LOSSES.items()]
    ),
    "by names": json.dumps({name: {"config": CONFIG, "history": history(x)} for name, x in LOSSES.items()}),
    "a line each": "".join(json.dumps({"name": n, "history": history(x)}) + "\n" for n, x in LOSSES.items()),
}


@pytest.mark.parametrize("form", RUNS)
def test_runs_with_their_histories(tmp_path, form):
    path = tmp_path / "runs.json"
    path.write_text(RUNS[form])
    curves, _ = read(path)
    assert [curve.name for curve in curves] == ["a", "b"]
    assert_whole(curves["a"])
    assert_whole(curves["b"], loss=[x + 0.1 for x in LOSS])


def test_what_a_logger_puts_under_one_key(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps({"severity": "INFO", "attributes": row}) + "\n" for row in history()))
    curve, notes = only(path)
    assert_whole(curve)
    assert notes == []


def test_sizes_of_a_model_side_by_side_share_a_rate(tmp_path):
    more = [x + 0.1 for x in LOSS]
    curves, _ = read(write(tmp_path, {"step": STEPS, "lr": LR, "loss_25M": more, "loss_50M": LOSS}))
    assert [curve.name for curve in curves] == ["25M", "50M"]
    assert_whole(curves["50M"])


@pytest.mark.parametrize("names", [("loss_1", "loss_2"), ("loss_baseline", "loss_muon")])
def test_losses_that_no_name_tells_apart_are_named(tmp_path, names):
    path = write(tmp_path, {"step": STEPS, "lr": LR, names[0]: LOSS, names[1]: LOSS})
    with pytest.raises(LogError, match=f"no column is the loss by its name, but {names[0]}, {names[1]} may be"):
        read_logs(path)
    curve, _ = only(path, loss=names[1])
    assert_whole(curve)


NO_LOGS = {
    "a Parquet file": b"PAR1\x15\x04",
    "a workbook of Excel": b"PK\3\4\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml xl/workbook.xml",
    "a ZIP archive": b"PK\3\4\x14\0\x06\0\x08\0\0\0!\0run.csv",
    "an array of NumPy": b"\x93NUMPY\x01\0v\0{'descr': '<f8'}",
    "a pickle of Python": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0]",
    "compressed by bzip2": b"BZh91AY&SY\0",
    "compressed by xz": b"\xfd7zXZ\0",
    "compressed by zstd": b"\x28\xb5\x2f\xfd\x04\0",
    "a SQLite database": b"SQLite format 3\0",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "a web page": b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n",
    "a notebook": b'{"cells": [{"cell_type": "code", "source": ["train()"], "outputs": []}], "nbformat": 4}\n',
}


@pytest.mark.parametrize("what", NO_LOGS)
def test_a_file_that_is_no_log_is_called_what_it_is(tmp_path, what):
    path = tmp_path / "run.csv"
    path.write_bytes(NO_LOGS[what])
    with pytest.raises(LogError, match=f"run.csv: {what}.*; allowed: "):
        read_logs(path)
