"""`bayeslr init`: a manifest that can be read, and a list of what to check."""

import csv

import numpy as np
import pandas as pd
import pytest

import bayeslr as bl


def log(path, *, rates=True, first=50, total=2000, offset=0.0):
    steps = np.arange(first, total + 1, 50)
    columns = {"step": steps, "val_loss": 2.6 + 3 * steps**-0.2 + offset}
    if rates:
        columns["lr"] = np.where(steps < 100, 5e-4, 1e-3)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)


def test_a_manifest_of_a_folder(run, tmp_path):
    log(tmp_path / "runs-25M" / "trunk.csv")
    log(tmp_path / "runs-25M" / "cool.csv", first=1000, total=1500)
    code, out, err = run("init", tmp_path / "runs-25M", "-o", tmp_path / "runs.csv")
    assert (code, err) == (0, "")
    # long lines are folded
    lines = out.replace("\n  ", " ").splitlines()
    assert lines[0].startswith(
        "cool: 11 losses at 1000..1500 of 1500 steps, val_loss 3.354 -> 3.295, rates of lr, peak 0.001"
    )
    assert "after trunk" in lines[0]
    assert lines[1].startswith("trunk: 40 losses at 50..2000 of 2000 steps")
    assert "- cool is taken as a branch of trunk, whose loss is the same there" in lines
    assert lines[-2] == f"manifest: {tmp_path / 'runs.csv'} (2 runs)"
    assert lines[-1] == f"next: bayeslr fit {tmp_path / 'runs.csv'} -o posterior.nc"
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["runs-25M/cool.csv", "runs-25M/trunk.csv"]
    assert [row["params"] for row in rows] == ["25M", "25M"]
    assert [row["parent"] for row in rows] == ["trunk", ""]
    curves = bl.read_curves(tmp_path / "runs.csv")
    assert [len(curve) for curve in curves] == [30, 40]
    assert curves.select("size == '25M' and warmup_steps > 0").names == ("trunk",)


def test_a_manifest_is_no_log(run, tmp_path):
    log(tmp_path / "runs" / "a.csv")
    assert run("init", tmp_path / "runs", "-o", tmp_path / "runs.csv")[0] == 0
    code, out, err = run("init", tmp_path / "runs.csv", "-o", tmp_path / "other.csv")
    assert (code, out) == (2, "")
    assert "a manifest already (bayeslr fit" in err
    assert not (tmp_path / "other.csv").exists()


def test_a_schedule_to_fill_in(run, tmp_path):
    log(tmp_path / "a.csv", rates=False)
    code, out, _ = run("init", tmp_path / "a.csv", "-o", tmp_path / "runs.csv")
    assert code == 0
    assert "- a: no rates are logged: fill in the schedule" in out
    text = (tmp_path / "runs.csv").read_text()
    code, _, err = run("fit", tmp_path / "runs.csv", "-o", tmp_path / "p.nc")
    assert code == 2
    assert "line 2: schedule is 'cosine(peak_lr=?" in err
    assert err.count("\n") == 1
    spec = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
    filled = text.replace("cosine(peak_lr=?, final_lr=?, warmup_steps=?, total_steps=2000)", spec)
    (tmp_path / "runs.csv").write_text(filled)
    assert bl.read_curves(tmp_path / "runs.csv")["a"].schedule.warmup_steps == 100


def test_units_of_the_loss(run, tmp_path):
    log(tmp_path / "nats.csv")
    table = pd.read_csv(tmp_path / "nats.csv")
    for name, convert in (("ppl", np.exp), ("bpb", lambda x: x / np.log(2) / 4.5)):
        converted = table.assign(**{f"val_{name}": convert(table["val_loss"])}).drop(columns="val_loss")
        converted.to_csv(tmp_path / f"{name}.csv", index=False)
    expected = bl.read_logs(tmp_path / "nats.csv")["nats"].loss
    for name, options in (("ppl", ["perplexity"]), ("bpb", ["bits-per-byte", "--bytes-per-token", 4.5])):
        code, out, _ = run(
            "init", tmp_path / f"{name}.csv", "-o", tmp_path / f"{name}-runs.csv", "--loss-unit", *options
        )
        assert code == 0
        assert f"val_{name} {expected[0]:.4g} -> {expected[-1]:.4g}" in out
    code, _, err = run("backtest", tmp_path / "ppl-runs.csv", "--by", "run", "--loss-unit", "bits-per-byte")
    assert code == 2
    assert "loss_unit is 'bits per byte', bytes_per_token None" in err


def test_what_cannot_be_read_is_left_out_and_said(run, tmp_path):
    log(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("step,loss,lr\n1,three,1\n")
    code, out, _ = run("init", tmp_path / "a.csv", tmp_path / "b.csv", "-o", tmp_path / "runs.csv")
    assert code == 0
    assert "- b is left out:" in out
    assert "line 2: loss is 'three'" in " ".join(out.split())
    code, _, err = run("init", tmp_path / "b.csv", "-o", tmp_path / "other.csv")
    assert code == 2
    assert "loss is 'three'" in err
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_replaced_unasked(run, tmp_path, force):
    log(tmp_path / "a.csv")
    (tmp_path / "runs.csv").write_text("mine")
    code, _, err = run("init", tmp_path / "a.csv", "-o", tmp_path / "runs.csv", *(["--force"] if force else []))
    assert code == (0 if force else 2)
    assert ((tmp_path / "runs.csv").read_text() == "mine") != force
    assert force or "the file exists" in err


def test_settings_of_a_table_go_into_the_manifest(run, tmp_path):
    """Sizes whose parameters nobody says have to be filled in; batch sizes are columns where a table has them."""
    steps = np.arange(10, 501, 10)
    table = {"batch_size": 64, "step": steps, "lr": 1e-3, "loss": 3.0 + steps**-0.5}
    pd.concat([pd.DataFrame({"width": width, **table}) for width in (256, 512)]).to_csv(tmp_path / "log.csv")
    code, out, err = run("init", tmp_path / "log.csv", "-o", tmp_path / "runs.csv")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert "params are not known of width 256, width 512: fill them in, without embeddings" in said
    assert "taken from names" not in said
    rows = pd.read_csv(tmp_path / "runs.csv")
    assert rows["size"].tolist() == ["width 256", "width 512"]
    assert rows["batch_size"].tolist() == [64, 64]
    assert rows["weight_decay"].isna().all()
    assert "- logs do not say every run's weight_decay: fill in what you know" in out


def test_what_many_runs_lack_is_said_once(run, tmp_path):
    for k in range(20):
        log(tmp_path / "logs" / f"run{k:02}.csv", rates=False)
    code, out, err = run("init", tmp_path / "logs", "-o", tmp_path / "runs.csv")
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    assert "- run00, run01, run02, ... (20 in all): no rates are logged: fill in the schedule" in said
    assert said.count("no rates are logged") == 1
    assert "- logs do not say every run's batch_size and weight_decay: fill in what you know" in said
