"""`bayeslr backtest`: the options reach the library, and its scores reach the reader."""

import io
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import bayeslr as bl
from bayeslr.cli.backtest import _tables
from bayeslr.errors import ConvergenceWarning
from bayeslr.evaluation import (
    BlockBootstrap,
    PointFit,
    Predictions,
    backtest,
    by_query,
    default_forecasters,
    leave_one_run_out,
)
from bayeslr.model import LAWS

TWO_LAWS = ["--law", "annealing", "--law", "multi-power"]
TRAIN = ["--train", "split == 'train' and run != 'cosine'", "--test", "run == 'cosine'"]


@pytest.fixture
def quick_forecasters(monkeypatch):
    """Forecasters that take no sampler, and the arguments with which the command asked for some."""
    asked = {}
    forecasters = {"block bootstrap": BlockBootstrap(num_draws=5, starts=1), "point fit": PointFit(starts=1)}

    def default_forecasters(**arguments):
        asked.update(arguments)
        return forecasters if arguments["baselines"] else {"block bootstrap": forecasters["block bootstrap"]}

    monkeypatch.setattr(bl.evaluation, "default_forecasters", default_forecasters)
    return forecasters, asked


def test_the_scores_are_those_of_the_library(run, manifest, small_curves, quick_forecasters):
    forecasters, asked = quick_forecasters
    options = ["--seed", "4", "--chains", "2", "--draws", "60", "--num-warmup", "70"]
    code, out, err = run("backtest", manifest, *TRAIN, *options, "--format", "json")
    assert (code, err) == (0, "")
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    expected = backtest(split, forecasters, seed=4).to_dict()
    answer = json.loads(out)
    assert answer["forecaster"] == "block bootstrap"
    assert answer["mean"] == pytest.approx(expected["mean"], rel=1e-6)
    assert list(answer["baselines"]) == ["point fit"]
    settings = {"num_chains": 2, "num_samples": 60, "num_warmup": 70, "method": "nuts"}
    assert asked == {"model": None, "settings": settings, "baselines": True}


def test_logs_do_in_place_of_a_manifest(run, small_curves, quick_forecasters, tmp_path):
    for curve in small_curves:
        log = pd.DataFrame({"step": curve.steps, "loss": curve.loss, "lr": curve.schedule.lr[curve.steps - 1]})
        log.to_csv(tmp_path / f"{curve.name}.csv", index=False, float_format="%.17g")
    logs = sorted(tmp_path.glob("*.csv"))
    queries = ["--train", "run != 'cosine'", "--test", "run == 'cosine'"]
    code, out, err = run("backtest", *logs, *queries, "--allow-late-start", "--format", "json")
    assert code == 0, err
    assert [row["run"] for row in json.loads(out)["runs"]] == ["cosine"]


@pytest.mark.slow
def test_laws_have_a_row_each(run, manifest, small_curves):
    laws = ("annealing", "multi-power")
    options = ["--method", "laplace", "--draws", "60", "--chains", "1", "--no-baselines"]
    code, out, _ = run("backtest", manifest, *TRAIN, *(f"--law={law}" for law in laws), *options)
    assert code == 0
    means = out.partition("annealing, run by run")[0]
    rows = {line.split()[0]: line.split()[1:] for line in means.splitlines() if line.startswith(laws)}
    split = by_query(small_curves, train="run != 'cosine'", test="run == 'cosine'")
    settings = {"num_chains": 1, "num_samples": 60, "method": "laplace"}
    models = {law: bl.ScalingModel(law=LAWS[law]()) for law in laws}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = backtest(split, default_forecasters(models, settings=settings, baselines=False), seed=0)
    assert expected.forecasters == laws
    assert {law: row[5] for law, row in rows.items()} == {law: f"{expected.mean['crps'][law]:.4f}" for law in laws}
    assert rows["annealing"] != rows["multi-power"]
    assert {line for line in out.splitlines() if line.startswith("health: ")} == {
        f"health: the fit of {row.forecaster} is {row.health}"
        for row in expected.runs.itertuples()
        if row.health != "PASS"
    }


@pytest.fixture
def seen(monkeypatch):
    """The forecasters that the command makes; others are scored in their place."""
    found = {}

    def scored(splits, forecasters, **settings):
        found.update(forecasters)
        return backtest(splits, {name: _Exact("nothing", k) for k, name in enumerate(forecasters)}, **settings)

    monkeypatch.setattr(bl, "backtest", scored)
    return found


def test_the_models_of_laws_are_those_of_the_library(run, manifest, seen):
    laws = ("annealing", "multi-power")
    options = ["--method", "laplace", "--draws", "60", "--chains", "1", "--no-baselines"]
    code, out, _ = run("backtest", manifest, *TRAIN, *(f"--law={law}" for law in laws), *options)
    assert code == 0
    assert {name: one.model for name, one in seen.items()} == {law: bl.ScalingModel(law=LAWS[law]()) for law in laws}
    settings = {"num_chains": 1, "num_samples": 60, "num_warmup": 250, "method": "laplace"}
    assert all(one.settings == settings for one in seen.values())
    # each law's fit, the first one's runs
    assert [line for line in out.splitlines() if line.startswith("health: ")] == [
        "health: the fit of annealing is FAIL",
        "health: the fit of multi-power is REVIEW",
    ]
    assert "annealing, run by run" in out


def test_a_stack_stands_after_its_laws(run, manifest, seen):
    code, out, _ = run("backtest", manifest, *TRAIN, "--law", "multi-power", "--law", "annealing", "--stack")
    assert code == 0
    assert list(seen) == ["multi-power", "annealing", "stack", "point fit", "independent noise", "block bootstrap"]
    assert [seen[law].model.law.name for law in list(seen)[:2]] == list(seen["stack"].models) == list(seen)[:2]
    assert seen["stack"].settings == seen["annealing"].settings
    rows = [line.split()[0] for line in out.splitlines() if line.strip()]
    assert rows.index("multi-power") < rows.index("annealing") < rows.index("stack") < rows.index("point")


def test_the_table_fits_a_terminal(run, manifest, quick_forecasters):
    code, out, _ = run("backtest", manifest, "--where", "split == 'train'", "--by", "run")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "means over 3 runs" in out
    assert all(name in out for name in ("constant", "cosine", "drops", "point fit", "CRPS", "MAPE"))
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert rows["cosine"][0] == "47"
    assert rows["cosine"][2] in ("in", "out")


def test_csv_is_a_row_a_run_and_forecaster(run, manifest, small_curves, quick_forecasters):
    code, out, _ = run("backtest", manifest, "--where", "split == 'train'", "--by", "run", "--format", "csv")
    assert code == 0
    table = pd.read_csv(io.StringIO(out), keep_default_na=False, na_values=[""])
    assert list(table["run"]) == [name for name in small_curves.names for _ in range(2)]
    forecasters, _ = quick_forecasters
    expected = backtest(leave_one_run_out(small_curves), forecasters, seed=0).runs
    assert table["crps"].tolist() == pytest.approx(expected["crps"].tolist(), rel=1e-6)


@pytest.mark.parametrize(("horizon", "scored"), [("1000", 25), ("0.75", 12)])
def test_the_horizon_is_a_step_or_a_share(run, manifest, quick_forecasters, horizon, scored):
    arguments = ("--where", "split == 'train'", "--horizon", horizon, "--no-baselines", "--format", "json")
    code, out, _ = run("backtest", manifest, *arguments)
    assert code == 0
    answer = json.loads(out)
    assert [row["n"] for row in answer["runs"]] == [scored] * 3
    assert answer["baselines"] == {}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--by", "run", "--horizon", "100"], ["--by and --horizon"]),
        (["--train", "run == 'cosine'"], ["--test is missing"]),
        (["--test", "run == 'cosine'"], ["--train is missing"]),
        (["--train", "run == 'cosine'", "--test", "run == 'cosine'"], ["both select the run 'cosine'"]),
        (["--train", "run == 'cosine'", "--test", "split == 'x'"], ["split == 'x'"]),
        (["--train", "run ==", "--test", "split == 'x'"], ["run =="]),
        (["--train", "run ==", "--test", "split == 'x'"], ["the query 'run ==' is not valid"]),
        (["--train", "run == 'cosine'", "--test", "split == 'x'"], ["the query \"split == 'x'\" selects none"]),
        (
            ["--where", "run == 'constant'", "--train", "run == 'cosine'", "--test", "run == 'drops'"],
            ["no run that \"run == 'constant'\" selects", "\"run == 'cosine'\" or \"run == 'drops'\""],
        ),
        (["--by", "length"], ["--by", "length"]),
        (["--where", "split == 'train'", "--by", "size"], ["one size", "small"]),
        (["--where", "split == 'train'", "--horizon", "9000"], ["after step 9000"]),
        (["--where", "split == 'train'", "--horizon", "-5"], ["--horizon", "-5"]),
        (["--by", "run", "--skip-shared"], ["--skip-shared", "--train"]),
        (["--by", "run"], ["broken.csv", "three"]),
        ([], ["broken.csv", "three"]),
        (["--by", "run", "--law", "power"], ["--law", "power", "annealing"]),
        (["--by", "run", "--stack"], ["--stack with no --law", "two laws"]),
        (["--by", "run", "--law", "annealing", "--law", "annealing", "--stack"], ["--stack with 1 --law"]),
        (["--by", "run", *TWO_LAWS, "--stack", "--method", "laplace"], ["--stack with --method laplace"]),
    ],
)
def test_wrong_input_is_one_line(run, manifest, arguments, named):
    code, out, err = run("backtest", manifest, *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert all(text in err for text in named), err


def test_a_missing_manifest_is_one_line(run, tmp_path):
    code, _, err = run("backtest", tmp_path / "none.csv", "--by", "run")
    assert code == 2
    assert "none.csv" in err


class _Exact:
    """Forecasts that are the losses, but for runs whose names have a given end."""

    def __init__(self, skip, k=2):
        self.skip, self.health = skip, ["FAIL", "REVIEW", "", "", "", ""][k]

    def forecast(self, split, *, seed):
        known = [curve for curve in split.scored if not curve.name.endswith(self.skip)]
        draws = {curve.name: np.tile(curve.loss, (20, 1)) for curve in known}
        missing = {curve.name: "unseen" for curve in split.scored if curve.name not in draws}
        return Predictions(draws=draws, missing=missing, health=self.health)


def test_means_of_different_runs_are_not_left_alone(small_curves):
    result = backtest(leave_one_run_out(small_curves), {"all": _Exact("nothing"), "some": _Exact("cosine")}, seed=0)
    console = Console(width=80, file=io.StringIO())
    for part in _tables(result):
        console.print(part)
    text = console.file.getvalue()
    titles = [line.strip() for line in text.splitlines() if "runs" in line]
    assert titles[:2] == ["means over 3 runs", "means over the 2 runs that all of them predict"]
    assert "missing: some, cosine: unseen" in text


def test_no_name_of_a_forecaster_is_broken_at_80_columns(small_curves):
    names = ("bayeslr", "point fit", "independent noise", "block bootstrap")
    result = backtest(leave_one_run_out(small_curves), dict.fromkeys(names, _Exact("nothing")), seed=0)
    console = Console(width=80, file=io.StringIO())
    console.print(_tables(result)[0])
    lines = console.file.getvalue().splitlines()
    assert [name for name in names if any(line.startswith(f"{name} ") for line in lines)] == list(names)
