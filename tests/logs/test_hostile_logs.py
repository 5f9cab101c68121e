"""Whatever the bytes are: an answer or one line, in little time and memory, with no number that is not in the file."""

import gzip
import json
import os
import re
import stat
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from smooth_run import STEPS, loss_at, rate_at
from test_log_formats import event_file
from test_wandb_files import framed, history

from bayeslr.errors import BayeslrError, LogError
from bayeslr.logs import read_curves, read_logs
from bayeslr.logs.formats import open_log
from bayeslr.logs.tidy import tidy
from bayeslr.schedules import MAX_STEPS

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = st.sampled_from(
    ["step", "_step", "loss", "val_loss", "train_loss", "lr", "learning_rate", "epoch", "split", "run", "name", "time"]
)
CELLS = st.one_of(
    st.integers(-10, 3000).map(str),
    st.floats(allow_nan=True, allow_infinity=True, width=32).map(repr),
    st.sampled_from(["", "nan", "val", "train", "1e400", "[0.1]", "#", '"', "9" * 400, "0.0", "None", "-5e-7"]),
    st.text(max_size=4),
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=30)
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)


def answer(path, **options):
    """The curves of a log, or None where it is refused in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read_logs(path, schedule="constant(peak_lr=1e-3, total_steps=5000)", **options)
        except BayeslrError as problem:
            message = str(problem).replace(str(path), "FILE")
            assert "\n" not in message
            assert len(message) < 500, message
            return None


def numbers_in(text):
    found = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text)
    return {float(number) for number in found}


@given(st.lists(NAMES, min_size=1, max_size=6), ROWS, st.sampled_from(",;\t "))
@QUICK
def test_tables(tmp_path, names, rows, separator):
    path = tmp_path / "log.csv"
    text = "\n".join(separator.join(row) for row in [names, *rows])
    path.write_bytes(text.encode("utf-8", "replace"))
    for curve in answer(path) or ():
        assert set(curve.loss.tolist()) <= numbers_in(text)


@given(st.lists(st.dictionaries(NAMES, JSON_VALUES, max_size=5), max_size=12), st.booleans())
@QUICK
def test_json(tmp_path, records, lines):
    path = tmp_path / "log.json"
    text = "\n".join(map(json.dumps, records)) if lines else json.dumps(records)
    path.write_text(text)
    for curve in answer(path) or ():
        assert set(curve.loss.tolist()) <= numbers_in(text)


@given(
    st.binary(max_size=400), st.sampled_from(["log.csv", "log.jsonl", "x.wandb", "events.out.tfevents.1.h", "log.gz"])
)
@example(b"#", "log.csv")
@QUICK
def test_any_bytes(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes({"log.gz": gzip.compress(content), "x.wandb": b":W&B\xe1\xbe\0" + content}.get(name, content))
    answer(path)
    path.unlink()


def good_log(kind):
    rows = [{"step": s, "val_loss": round(loss_at(s), 4), "lr": rate_at(s)} for s in STEPS]
    if kind == "jsonl":
        return "\n".join(map(json.dumps, rows)) + "\n"
    if kind == "json":
        return json.dumps({"log_history": rows, "max_steps": 2000}, indent=1)
    if kind == "log":
        return "".join(
            f" iteration {r['step']}/ 2000 | learning rate: {r['lr']:.6E} | lm loss: {r['val_loss']} |\n" for r in rows
        )
    return "step,val_loss,lr\n" + "".join(f"{r['step']},{r['val_loss']},{r['lr']}\n" for r in rows)


@given(st.sampled_from(["csv", "json", "jsonl", "log"]), st.floats(0, 1), st.integers(0, 255), st.booleans())
@QUICK
def test_damage_anywhere(tmp_path, kind, place, byte, cut):
    """A byte is changed, or all that follows is gone: losses that are read are still those of the file."""
    content = bytearray(good_log(kind).encode())
    at = min(int(place * len(content)), len(content) - 1)
    content[at] = byte
    content = bytes(content[:at] if cut else content)
    path = tmp_path / f"log.{kind}"
    path.write_bytes(content)
    whole = {round(loss_at(s), 4) for s in STEPS}
    for curve in answer(path) or ():
        strange = set(curve.loss.tolist()) - whole
        assert len(strange) <= 1
        if cut:
            # the last number may have lost digits only if nothing shows it
            assert strange <= numbers_in(content.decode("utf-8", "replace")[-40:])


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "log", "tensorboard", "wandb"])
def test_no_more_than_ten_times_the_file_is_taken(tmp_path, kind):
    path = tmp_path / f"log.{kind}"
    rows = good_log(kind)
    if kind == "tensorboard":
        path = tmp_path / "events"
        event_file(path, new_style=False, steps=range(1, 1001), losses=[3.0] * 1000)
    elif kind == "wandb":
        records = [history(s, {"_step": s, "val_loss": 3 + 1 / s, "lr": 1e-3}) for s in range(1, 1501)]
        path.write_bytes(framed(records))
    elif kind == "json":
        records = [{"step": s, "val_loss": 3 + 1 / s, "lr": 1e-3} for s in range(1, 12_001)]
        path.write_text(json.dumps({"log_history": records}))
    elif kind == "jsonl":
        path.write_text(
            "".join(f'{{"step": {s}, "val_loss": {3 + 1 / s:.6f}, "lr": 0.001}}\n' for s in range(1, 12_001))
        )
    elif kind == "csv":
        path.write_text("step,val_loss,lr\n" + "".join(f"{s},{3 + 1 / s:.6f},0.001\n" for s in range(1, 12_001)))
    else:
        path.write_text(rows * 100)
    size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    tracemalloc.start()
    raw = open_log(path)
    log = tidy(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert log.steps.size >= 20
    # chunks of rows are held as Python objects for a moment, whatever the size of the file
    assert peak < 10 * size + 20e6


def test_what_is_no_file_on_disk_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", "/dev/zero", "/dev/null"):
        assert not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
        for read in (read_logs, read_curves):
            with pytest.raises(LogError, match="not a regular file"):
                read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="no such file")
def test_a_file_that_can_be_opened_but_not_read_is_named(tmp_path):
    path = tmp_path / "link.csv"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(LogError, match=r"link\.csv: cannot be read \(Input/output error\); allowed"):
        read_logs(path)


def test_a_first_line_that_no_table_can_have_is_none(tmp_path):
    path = tmp_path / "train.log"
    lines = [f"step {s}, loss {loss_at(s):.4f}, lr {rate_at(s):.4e}\n" for s in STEPS]
    path.write_text("a, " + "[" * 100_000 + "]" * 100_000 + "\n" + "".join(lines))
    assert len(tidy(open_log(path)).steps) == len(STEPS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"step,loss,lr\n1,5,0.1\n1e9,4,0.1\n", f"end at 1000000000; allowed: at most {MAX_STEPS} updates"),
        (b"step,loss,lr\n1,5,0.1\n1e300,4,0.1\n", "step is 1e\\+300; allowed: at most"),
        (b'{"step": 1' + b"0" * 5000 + b', "loss": 3, "lr": 1}', "step is inf"),
        (b'{"step": 1, "loss": ' + b"[" * 99_000 + b"]" * 99_000 + b', "lr": 1}', "nested too deeply"),
        (b'{"a": ' * 300 + b"1" + b"}" * 300, "no column for the loss"),
        (b",".join(b"a%d" % i for i in range(10_001)) + b"\n1\n", "10001 columns; allowed: at most 10000"),
        (b"step,loss\n1,5\n" + b"x" * (1 << 18) + b"\n", "not a table .field larger than field limit"),
        (b"loss" + b"x" * 5000 + b",b\n1,2\n", "no column for the loss"),
    ],
)
def test_limits_are_one_line(tmp_path, content, message):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(LogError, match=message) as caught:
        read_logs(path)
    assert len(str(caught.value).replace(str(path), "FILE")) < 500


def test_a_run_that_is_a_list(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(
        "".join(json.dumps({"run": [1], "step": s, "loss": loss_at(s), "lr": rate_at(s)}) + "\n" for s in STEPS)
    )
    assert len(read_logs(path)["log"]) == len(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("piece", [b"0" * 1000, b"1,1,1\n" * 200, b"\n" * 1000])
def test_a_gzip_bomb_takes_little_memory(tmp_path, piece):
    """200 MB unpacked, in a process of its own."""
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b"step,loss,lr\n")
        for _ in range(200):
            file.write(piece * (1_000_000 // len(piece)))
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from bayeslr.errors import LogError; from bayeslr.logs.formats import open_log\n"
        "try:\n    open_log(Path(sys.argv[1])).read(['step'])\n"
        "except LogError as problem: print(problem)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=250, check=True
    )
    message, peak = done.stdout.splitlines()
    assert "MiB unpacked" in message or "characters; allowed" in message
    assert int(peak) < 1500


def test_a_cut_file_is_read_up_to_the_cut(tmp_path):
    """One rule for every format: the rows before the cut, and a note that says where it is."""
    for kind in ("csv", "json", "jsonl", "log"):
        content = good_log(kind)
        cut = content.index("1500") + 12
        path = tmp_path / f"log.{kind}"
        path.write_text(content[:cut])
        log = tidy(open_log(path))
        assert log.steps.tolist() == list(STEPS[:14]), kind
        assert kind == "log" or any("cut off" in note for note in log.notes)
        np.testing.assert_allclose(log.loss, [round(loss_at(s), 4) for s in STEPS[:14]])
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress((good_log("csv") * 20).encode())[:-9])
    assert any("gzip file is cut off" in note for note in tidy(open_log(tmp_path / "log.csv.gz")).notes)


@pytest.mark.parametrize("name", ["x" * 400 + ".csv", "a\0b.csv"])
def test_names_that_no_file_can_have_are_answered(tmp_path, name):
    manifest = tmp_path / "runs.csv"
    manifest.write_text(f"run,file\na,{name}\n")
    with pytest.raises(BayeslrError, match=r"runs\.csv, line 2: .*(does not exist|is empty)"):
        read_curves(manifest)
    with pytest.raises(BayeslrError, match="cannot be read"):
        read_logs([tmp_path / name])
