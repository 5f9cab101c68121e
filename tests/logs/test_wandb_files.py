"""Offline runs of W&B: the framing, the records, and a file that wandb itself wrote."""

import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslr.errors import LogError
from bayeslr.logs.formats import open_log
from bayeslr.logs.formats.wandb_framing import FramingError, read_records
from bayeslr.logs.tidy import tidy

BLOCK = 32768


def framed(records):
    """Write records as the specification of LevelDB's log format has it, behind W&B's header."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        first = True
        while True:
            room = BLOCK - len(out) % BLOCK
            if room < 7:
                out += bytes(room)
                continue
            chunk, record = record[: room - 7], record[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not record]
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + chunk), len(chunk), kind) + chunk
            first = False
            if not record:
                break
    return bytes(out)


@given(st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 255)), max_size=6))
def test_records_of_any_length_come_back(sizes):
    records = [bytes([fill]) * size for size, fill in sizes]
    assert list(read_records(framed(records))) == records


@pytest.mark.parametrize("gap", range(9))
def test_block_ends(gap):
    """The first record ends 0 to 8 bytes before the end of the block."""
    records = [b"x" * (BLOCK - 7 - 7 - gap), b"second", b""]
    assert list(read_records(framed(records))) == records


def test_a_file_that_is_cut_off_gives_what_precedes_the_cut():
    content = framed([b"one", b"two" * 20_000])
    for cut in (len(content) - 1, 40_000, BLOCK, 22, 18):
        got = []
        with pytest.raises(FramingError, match="cut off"):
            got.extend(read_records(content[:cut]))
        records = iter(read_records(content[:cut]))
        assert next(records) == b"one"


def test_damage_is_noticed():
    content = bytearray(framed([b"one", b"two"]))
    content[-1] ^= 1
    records = read_records(bytes(content))
    assert next(records) == b"one"
    with pytest.raises(FramingError, match="damaged at byte 17"):
        next(records)
    with pytest.raises(FramingError, match="no W&B header"):
        list(read_records(b"PK\3\4 whatever"))


def history(number, values):
    from wandb.proto import wandb_internal_pb2 as pb

    record = pb.Record(num=number)
    for key, value in values.items():
        item = record.history.item.add(value_json=json.dumps(value))
        item.nested_key.extend(key.split("|"))
    return record.SerializeToString()


def run_file(path):
    from wandb.proto import wandb_internal_pb2 as pb

    header = pb.Record(num=0)
    header.run.run_id = "abc"
    rows = [{"_step": s, "train|loss": 5 - s / 100, "lr": 1e-3, "text": "x" * 100} for s in range(300)]
    for row in rows[::10]:
        row["val|loss"] = float("nan") if row["_step"] == 50 else 4 - row["_step"] / 100
    content = framed([header.SerializeToString(), *(history(i, row) for i, row in enumerate(rows, start=1))])
    path.write_bytes(content)
    return content


def test_history(tmp_path):
    folder = tmp_path / "offline-run-1"
    folder.mkdir()
    run_file(folder / "run-abc.wandb")
    log = tidy(open_log(folder))
    assert log.steps.tolist() == [s for s in range(10, 300, 10) if s != 50]
    assert log.loss.tolist() == [4 - s / 100 for s in log.steps]
    assert log.rate_steps.tolist() == list(range(300))
    assert any("1 loss is NaN" in note for note in log.notes)


def test_a_crashed_run_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "run-abc.wandb"
    content = run_file(path)
    path.write_bytes(content[: len(content) // 2])
    log = tidy(open_log(path), loss="train/loss")
    assert 100 < log.steps[-1] < 200
    assert log.steps.tolist() == list(range(1, log.steps[-1] + 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (framed([]), "the run has no history"),
        (framed([b"\xff\xff\xff"]), "unreadable record 1"),
        (framed([b"one"]).replace(b"one", b"two"), "not a good .wandb file .damaged at byte 7"),
    ],
)
def test_bad_files_give_one_line(tmp_path, content, message):
    path = tmp_path / "run.wandb"
    path.write_bytes(content)
    with pytest.raises(LogError, match=message) as caught:
        open_log(path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_file_that_wandb_wrote(tmp_path):
    script = """
import math, wandb
run = wandb.init(project="p")
for i in range(500):
    row = {"train": {"loss": 5 - i / 500}, "lr": 1e-3, "pad": "x" * 300}
    if i % 5 == 0:
        row["val/loss"] = 4 - i / 500
    wandb.log(row)
wandb.finish()
"""
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=200)
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    log = tidy(open_log(folder))
    assert log.steps.tolist() == list(range(5, 500, 5))
    np.testing.assert_allclose(log.loss, 4 - log.steps / 500, rtol=1e-12)
    assert log.rate_steps.tolist() == list(range(500))
    assert tidy(open_log(folder), loss="train/loss").steps.tolist() == list(range(1, 500))
