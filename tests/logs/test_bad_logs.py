"""Wrong input: one line that says what was found, where, and what is allowed."""

import gzip
import re

import pytest

from bayeslr.errors import BayeslrError, LogError, ManifestError
from bayeslr.logs import read_curves, read_logs
from bayeslr.logs.draft import draft
from bayeslr.logs.reading import column_names

LOG = "step,loss,lr\n1,5,0.1\n2,4,0.1\n3,3,0.1\n"
SPEC = '"constant(peak_lr=1e-3, total_steps=100)"'


def bad_logs():
    return {
        "missing": (None, "log.csv: cannot be read (No such file or directory)"),
        "empty": (b"", "log.csv: the file is empty"),
        "blank": (b"\n \n\r\n", "the file is empty"),
        "header only": (b"step,loss,lr\n", "only a header (step, loss, lr)"),
        "word for loss": (LOG.replace("4,", "four,").encode(), "log.csv, line 3: loss is 'four'"),
        "word for step": (LOG.replace("2,4", "two,4").encode(), "line 3: step is 'two'"),
        "word for rate": (LOG.replace("4,0.1", "4,high").encode(), "line 3: lr is 'high'"),
        "half a step": (LOG.replace("2,4", "2.5,4").encode(), "line 3: step is 2.5"),
        "negative step": (LOG.replace("2,4", "-2,4").encode(), "line 3: step is -2"),
        "infinite step": (LOG.replace("2,4", "inf,4").encode(), "line 3: step is inf"),
        "no steps": (b"step,loss,lr\n,5,0.1\n,4,0.1\n", "line 2: step is missing"),
        "negative rate": (LOG.replace("4,0.1", "4,-0.1").encode(), "line 3: lr is -0.1"),
        "all NaN": (b"step,loss,lr\n1,nan,1\n2,NaN,1\n", "no finite loss in the column 'loss'"),
        "no values": (b"step,loss,lr\n1,,1\n2,,1\n", "the column 'loss' has no values"),
        "no loss column": (
            b"step,accuracy,lr\n1,1,1\n",
            "no column for the loss; name one with `loss`: step, accuracy",
        ),
        "no step column": (
            b"epoch,loss,lr\n1,1,1\n",
            "no column for the step (epoch counts something else than updates); name one with `step`",
        ),
        "two loss columns": (b"step,loss,loss,lr\n1,1,1,1\n", "the column 'loss' occurs more than once"),
        "long row": (LOG.replace("4,0.1", "4,0.1,7").encode(), "line 3: 4 values, but 3 columns in the header"),
        "decimal commas": (b"step;loss;lr\n1;5,0;1\n", "line 2: loss is '5,0'"),
        "no rates": (
            b"step,loss\n1,5\n",
            "no schedule is given and no rates are logged (columns: step, loss); allowed: a `schedule` in a manifest, "
            "which `bayeslr init` writes, or a column with the rates, named by `lr`",
        ),
        "zero rates": (b"step,loss,lr\n1,5,0\n2,4,0\n", "all 2 logged rates are zero"),
        "binary": (b"\x00\x01\x02\x03" * 9, "not a text file"),
        "latin-1": (
            "step,loss,lr\n1,5,0.1,\n2,4,µ\n".encode("latin-1"),
            "line 3: lr is '\ufffd' (the text is not UTF-8)",
        ),
        "cut gzip": (gzip.compress(LOG.encode())[:12], "the gzip file is cut off: read up to there)"),
        "open quote": (b'step,loss,lr\n1,5,"0.1\n2,4,0.1\n', "line 3: lr is '0.1\\n2,4,0.1\\n'"),
        "broken JSON lines": (
            b'{"step": 1, "loss": 5}\n' + b'{"step": 2, "los\n' * 3,
            "line 2: not JSON (Unterminated",
        ),
        "JSON number": (b"[1, 2]", "record 1: int found; allowed: an object with metrics"),
        "JSON list for loss": (b'[{"step": 1, "loss": [5, 6]}]', "record 1: loss is [5, 6]"),
        "JSON truth for loss": (b'[{"step": 1, "loss": true}]', "record 1: loss is True"),
        "JSON text for loss": (b'{"step": 1, "loss": 5}\n{"step": 2, "loss": "low"}', "line 2: loss is 'low'"),
        "empty JSON": (b"[]", "there are no records"),
        "odd trainer_state": (b'{"log_history": 5}', "log_history is a int"),
        "late start": (
            ("step,loss,lr\n" + "".join(f"{s},3,0.1\n" for s in range(500, 1000))).encode(),
            "run 'log' starts at step 500",
        ),
        "deep JSON": (b"[" * 100_000, "nested too deeply"),
    }


@pytest.mark.parametrize("case", bad_logs())
def test_bad_logs(tmp_path, case):
    content, message = bad_logs()[case]
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BayeslrError, match=re.escape(message)) as caught:
        read_logs(path)
    assert "\n" not in str(caught.value)
    assert "log.csv" in str(caught.value) or "run 'log'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "val_loss"}, "the column 'val_loss', named by `loss`, does not exist; columns: step, loss, lr"),
        ({"step": "it"}, "the column 'it', named by `step`, does not exist"),
        ({"lr": "rate"}, "the column 'rate', named by `lr`, does not exist"),
        ({"schedule": "constant(1)"}, "constant"),
        ({"schedule": "constant(peak=1)"}, "run 'log': "),
        ({"schedule": "cosinus(1)"}, "cosinus"),
        ({"schedule": [1e-3] * 5}, "schedule of run 'log': a list; allowed: a Schedule or its spec"),
        ({"params": "many"}, "params of run 'log': 'many'; allowed: a positive number such as 2.5e7 or '25M'"),
        ({"params": -5}, "params is -5"),
        ({"size": 25}, "size of run 'log': 25"),
        ({"parent": {"log": "trunk"}}, "its parent 'trunk' is not among the runs"),
        ({"parent": {"x": "log"}}, "parent: there is no run 'x'"),
    ],
)
def test_bad_options(tmp_path, options, message):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    with pytest.raises(BayeslrError, match=re.escape(message)) as caught:
        read_logs(path, **options)
    assert "\n" not in str(caught.value)


def test_bad_folders(tmp_path):
    with pytest.raises(LogError, match="no log in this folder; allowed: TensorBoard events"):
        read_logs(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(LOG)
    assert read_logs(tmp_path).names == ("a", "b")
    (tmp_path / "a" / "x.wandb").write_bytes(b":W&B")
    (tmp_path / "a" / "y.wandb").write_bytes(b":W&B")
    with pytest.raises(LogError, match=r"2 logs in this folder \(x.wandb, y.wandb\)"):
        read_logs(tmp_path)
    with pytest.raises(LogError, match="there are no logs"):
        read_logs([])


def test_event_files_without_scalars(tmp_path):
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(b"")
    with pytest.raises(LogError, match="no scalars among the events"):
        read_logs(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run,schedule\na,x\n", "runs.csv: the column 'file' is missing; required: run, file; found: run, schedule"),
        ("file,size\nlog.csv,S\n", "the column 'run' is missing"),
        ("run,file\n", "the manifest has no runs"),
        (f"run,file,schedule\na,log.csv,{SPEC}\na,log.csv,{SPEC}\n", "line 3: the run 'a' is on line 2 already"),
        ("run,file\na,\n", "line 2: file is empty"),
        ("run,file\n,log.csv\n", "line 2: run is empty"),
        ("run,file\na,nowhere.csv\n", "line 2: the file of run 'a', "),
        ("run,file,params\na,log.csv,lots\n", "line 2: params is 'lots'; allowed: a positive number"),
        ("run,file,params\na,log.csv,-5\n", "line 2: params is '-5'"),
        ("run,file,params\na,log.csv,0\n", "line 2: params is '0'"),
        ("run,file,params\na,log.csv,nan\n", "line 2: params is 'nan'"),
        ("run,file,schedule\na,log.csv,cosine(1)\n", "line 2: "),
        ('run,file,schedule\na,log.csv,"@os:getcwd(total_steps=5)"\n', "line 2: "),
        ("run,file,schedule\na,log.csv,constant(peak_lr=1, total_steps=5)\n", "line 2: 4 values, but 3 columns"),
        ("run,file,schedule\na,log.csv,@nowhere.csv\n", "line 2: "),
        ("run,file,parent\na,log.csv,b\n", "line 2: the parent 'b' of run 'a' is not in the manifest"),
        ("run,file,run\na,log.csv,b\n", "the column 'run' occurs more than once"),
        ('run,file,schedule\na,log.csv,"constant(peak_lr=1, total_steps=0)"\n', "line 2: "),
    ],
)
def test_bad_manifests(tmp_path, text, message):
    (tmp_path / "log.csv").write_text(LOG)
    path = tmp_path / "runs.csv"
    path.write_text(text)
    with pytest.raises(ManifestError, match=re.escape(message)) as caught:
        read_curves(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("split == 'test'", "selects none of the 1 runs; split: 'train'"),
        ("spilt == 'train'", "is not valid"),
        ("split == ", "is not valid"),
        ("size", "is not a condition"),
        ("(" * 500 + ")" * 500, "is not valid"),
        ("size.str[99] == 'x'", "is not valid"),
        ("size > 3", "is not valid"),
        ("__import__('os')", "is not valid"),
        ("@os.getcwd() == 1", "is not valid"),
    ],
)
def test_bad_queries(tmp_path, where, message):
    (tmp_path / "log.csv").write_text(LOG)
    path = tmp_path / "runs.csv"
    path.write_text(f"run,file,size,split,schedule\na,log.csv,S,train,{SPEC}\n")
    with pytest.raises(ManifestError, match=message) as caught:
        read_curves(path, where=where)
    assert "\n" not in str(caught.value)


def test_all_losses_beyond_the_schedule(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n200,5\n300,4\n")
    with pytest.raises(LogError, match="all 2 losses are beyond the 100 steps of the schedule"):
        read_logs(tmp_path / "log.csv", schedule=SPEC.strip('"'))


@pytest.mark.parametrize("separator", [";", "\t", "quoted", ","])
def test_decimal_commas_are_named(tmp_path, separator):
    quote, between = ('"', ",") if separator == "quoted" else ("", separator)
    rows = [
        (s, f"{quote}{3 + 20 / s:.5f}{quote}".replace(".", ","), f"{quote}0,00100{quote}")
        for s in range(100, 2001, 100)
    ]
    text = "\n".join(between.join(map(str, row)) for row in [("step", "val_loss", "lr"), *rows])
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(LogError, match=r"log\.csv, line 2: [^\n]*decimal commas?[^\n]*allowed: a decimal point"):
        read_logs(path)


def test_what_the_documented_order_decides_is_no_check(tmp_path):
    rows = "\n".join(f"{s},{3 + 20 / s},{3.1 + 20 / s},{2.9 + 20 / s},0.001" for s in range(100, 2001, 100))
    for name, columns in (("kinds", "train_loss,val_loss,plain"), ("alike", "train_loss,val_loss,other_val_loss")):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"step,{columns},lr\n{rows}\n")
        found = draft([path], folder=tmp_path, columns=column_names())
        assert any("several columns may be the loss" in text for text in found.checks) == (name == "alike")
        assert any("several columns may be the loss" in text for text in found.read[0].notes)
