"""The commands end to end, against what the library returns."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import bayeslr as bl

WSD = "wsd(peak_lr=1e-3, warmup_steps=100, decay_steps=500, total_steps=2000)"
COSINE = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
BANDS = ["schedule", "step", "lr", "mean", "median", "lower", "upper"]


def fits_a_terminal(out):
    return max(map(len, out.splitlines())) <= 80


def test_fit_gives_the_draws_of_the_library(run, manifest, small_posterior, tmp_path):
    target = tmp_path / "new.nc"
    settings = ["--chains", "2", "--num-warmup", "250", "--draws", "1400", "--seed", "0"]
    code, out, err = run("fit", manifest, "--where", "split == 'train'", "-o", target, *settings)
    assert code == 0
    # what was read, one line per run, and nothing else
    assert [line.split(":")[0] for line in err.splitlines()] == ["constant", "cosine", "drops"]
    assert "alpha[small]" in out
    assert "health: " in out
    assert f"posterior: {target}".split("/")[-1] in out
    fitted = bl.load_posterior(target)
    np.testing.assert_allclose(fitted.draws["alpha"], small_posterior.draws["alpha"], rtol=1e-8)
    code, _, err = run("fit", manifest, "-o", target)
    assert code == 2
    assert "exists" in err


def test_fit_passes_its_options_on(run, manifest, small_posterior, tmp_path, monkeypatch):
    asked = {}

    def fit(curves, model, **settings):
        asked.update(settings, curves=curves, model=model)
        return small_posterior

    monkeypatch.setattr(bl, "fit", fit)
    target = tmp_path / "logs.nc"
    spec = "constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
    code, out, _ = run(
        *("fit", manifest.parent / "constant.csv", "--schedule", spec, "--size", "tiny", "--params", "25M"),
        *("--max-step", "1000", "-o", target, "--chains", "3", "--num-warmup", "60", "--draws", "70", "--seed", "8"),
        *("--format", "json", "--warmup", "peak", "--pooling", "complete", "--prior", "alpha=LogNormal(-0.7, 0.4)"),
        "--keep-spikes",
    )
    assert code == 0
    answer = json.loads(out)
    assert answer["posterior"] == str(target)
    assert answer["health"]["status"] in ("PASS", "REVIEW", "FAIL")
    assert answer["parameters"]["L0[small]"]["r_hat"] < 1.1
    (curve,) = asked["curves"]
    assert curve.steps.max() == 980
    assert (curve.params, curve.size) == (25e6, "tiny")
    assert asked["model"].law.warmup == "peak"
    assert asked["model"].pooling == "complete"
    assert asked["keep_spikes"] is True
    assert list(asked["model"].priors) == ["alpha"]
    numbers = ("num_chains", "num_warmup", "num_samples", "seed")
    assert [asked[name] for name in numbers] == [3, 60, 70, 8]


def test_summary_in_every_format(run, posterior_file, small_posterior):
    expected = small_posterior.summary(ci_prob=0.8)
    code, out, _ = run("summary", posterior_file, "--ci-prob", "0.8", "--format", "json")
    assert code == 0
    assert json.loads(out)["alpha[small]"]["lower"] == pytest.approx(expected.loc["alpha[small]", "lower"], rel=1e-6)
    _, out, _ = run("summary", posterior_file, "--ci-prob", "0.8", "--format", "csv")
    table = pd.read_csv(io.StringIO(out), index_col="parameter")
    np.testing.assert_allclose(table["mean"], expected["mean"], rtol=1e-6)
    _, out, _ = run("summary", posterior_file, "--ci-prob", "0.8")
    assert fits_a_terminal(out)
    assert "80%" in out
    scales = [name for name in expected.index if name.startswith("discrepancy_")]
    assert all((name in out) == (name not in scales) for name in expected.index)
    assert f"{len(scales)} scales of the error model are not shown" in out
    _, out, _ = run("summary", posterior_file, "--ci-prob", "0.8", "--all")
    assert all(name in out for name in expected.index)


def test_summary_begins_with_what_annealing_is_worth(run, posterior_file, small_posterior):
    _, out, _ = run("summary", posterior_file)
    sentences = " ".join(out.split("\n\n")[0].split())
    told = re.search(r"over its last fifth is worth (\S+) nats \(90%: (\S+) to (\S+)\)", sentences)
    middle, low, high = map(float, told.groups())
    # of this law the gain is the drop, as far as its memory lets it arrive in a fifth of the run
    drop = float(small_posterior.draws["drop"].median())
    assert low < middle < high
    assert 0.2 * drop < middle < 1.1 * drop
    assert "3 runs of one size" in sentences
    assert "2,800 draws in 2 chains" in sentences


def test_version_and_quiet(run, posterior_file, small_posterior, monkeypatch):
    assert run("--version") == (0, f"bayeslr {bl.__version__}\n", "")
    far = "cosine(peak_lr=9e-3, warmup_steps=100, total_steps=2000)"
    loud = run("predict", posterior_file, "--schedule", far, "--format", "csv")
    quiet = run("predict", posterior_file, "--schedule", far, "--format", "csv", "--quiet")
    first = run("--quiet", "predict", posterior_file, "--schedule", far, "--format", "csv")
    assert "warning" in loud[2]
    assert quiet == first == (0, loud[1], "")
    code, _, err = run("predict", "none.nc", "--schedule", far, "-q")
    assert code == 2
    assert err.startswith("error: ")


def test_hints_are_spelled_as_the_program_was_started(run, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/bayeslr"])
    assert "Usage: bayeslr fit" in run("fit", "--help")[1]
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert "Usage: uv run bayeslr fit" in run("fit", "--help")[1]
    monkeypatch.setattr(sys, "argv", ["/x/bayeslr/__main__.py"])
    assert "Usage: uv run python -m bayeslr fit" in run("fit", "--help")[1]


def test_each_side_is_answered_in_its_own_words(run, posterior_file, small_posterior, monkeypatch):
    with pytest.raises(bl.errors.BayeslrError) as raised:
        small_posterior.save(posterior_file)
    assert "force" in str(raised.value)
    assert "--force" not in str(raised.value)
    assert "--force" in raised.value.command
    assert "force (" not in raised.value.command
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    advice = "sample it: method='nuts' (--method nuts), or leave runs out (bayeslr backtest)"
    health = bl.Health(checks=(bl.Check(name="x", status="FAIL", evidence="y", advice=advice),))
    monkeypatch.setattr(bl, "check", lambda posterior: health)
    code, out, _ = run("check", posterior_file)
    assert code == 1
    assert "sample it: --method nuts, or leave runs out (uv run bayeslr backtest)" in " ".join(out.split())


def test_a_shell_completes_commands():
    asked = {"_BAYESLR_COMPLETE": "complete_bash", "COMP_WORDS": "bayeslr pre", "COMP_CWORD": "1"}
    code = "import sys; from bayeslr.cli import main; sys.argv = ['bayeslr']; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["predict"]


def test_check_says_the_status_and_its_exit_code(run, posterior_file, small_posterior):
    health = bl.check(small_posterior)
    code, out, _ = run("check", posterior_file)
    assert code == (1 if health.status == "FAIL" else 0)
    assert health.status in out.splitlines()[0] + out.splitlines()[1]
    assert all(fits_a_terminal(line) for line in out.splitlines()[2:] if line)
    _, out, _ = run("check", posterior_file, "--format", "json")
    answer = json.loads(out)
    assert answer["status"] == health.status
    assert [item["name"] for item in answer["checks"]] == [item.name for item in health.checks]
    _, out, _ = run("check", posterior_file, "--format", "csv")
    assert list(pd.read_csv(io.StringIO(out))["status"]) == [item.status for item in health.checks]


def test_check_fails_with_code_one(run, small_posterior, tmp_path):
    tree = small_posterior.tree.copy(deep=True)
    # chains that disagree by far
    tree["posterior"]["alpha"][0] += 5.0
    broken = bl.Posterior(
        tree=tree, curves=small_posterior.curves, model=small_posterior.model, settings=small_posterior.settings
    ).save(tmp_path / "broken.nc")
    code, out, _ = run("check", broken)
    assert code == 1
    assert "FAIL" in out


def test_predict_writes_the_bands_of_the_library(run, posterior_file, small_posterior, tmp_path):
    target = tmp_path / "bands.csv"
    code, out, err = run("predict", posterior_file, "--schedule", WSD, "--size", "1e7", "--seed", "3", "-o", target)
    assert (code, err) == (0, "")
    assert fits_a_terminal("\n".join(line for line in out.splitlines() if not line.strip().endswith(str(target))))
    bands = pd.read_csv(target)
    assert list(bands.columns) == BANDS
    plan = {"wsd": bl.schedules.parse_schedule(WSD)}
    expected = bl.predict(small_posterior, plan, size="small", seed=3).band(ci_prob=0.9)
    pd.testing.assert_frame_equal(bands, expected, rtol=1e-6, check_dtype=False)
    final = bl.predict(small_posterior, plan, size="small", seed=3).final_loss()
    assert f"{final.loc['wsd', 'median']:.4f}" in out
    assert "It rests on 3 runs of up to" in " ".join(out.split())


def test_predict_at_the_steps_of_a_file(run, posterior_file, tmp_path):
    steps = tmp_path / "steps.csv"
    steps.write_text("step,loss\n150,1\n1000,\n2000,3\n")
    _, out, _ = run("predict", posterior_file, "--schedule", WSD, "--steps", f"@{steps}", "--format", "csv")
    assert list(pd.read_csv(io.StringIO(out))["step"]) == [150, 1000, 2000]
    _, out, _ = run("predict", posterior_file, "--schedule", WSD, "--steps", "700", "--format", "csv")
    assert list(pd.read_csv(io.StringIO(out))["step"]) == [700, 1400, 2000]


def test_latent_bands_are_narrower(run, posterior_file):
    widths = {}
    for option in ([], ["--latent"]):
        _, out, _ = run("predict", posterior_file, "--schedule", WSD, "--format", "csv", *option)
        bands = pd.read_csv(io.StringIO(out))
        widths[len(option)] = (bands["upper"] - bands["lower"]).mean()
    assert widths[1] < widths[0]


def test_predict_json_has_every_schedule(run, posterior_file):
    code, out, _ = run("predict", posterior_file, "--schedule", f"mine={WSD}", "--schedule", COSINE, "--format", "json")
    assert code == 0
    answer = json.loads(out)
    assert answer["size"] == "small"
    assert set(answer["final_loss"]) == set(answer["bands"]) == {"mine", "cosine"}
    assert answer["basis"].startswith("It rests on 3 runs")
    assert answer["bands"]["mine"]["upper"][-1] == pytest.approx(answer["final_loss"]["mine"]["upper"])


def test_trouble_is_told_beside_the_numbers(run, posterior_file):
    spec = "cosine(peak_lr=9e-3, warmup_steps=100, total_steps=2000)"
    _, out, err = run("predict", posterior_file, "--schedule", spec)
    assert "warning: cosine: peak rate 0.009" in out
    assert fits_a_terminal(out)
    assert err == ""
    _, out, _ = run("predict", posterior_file, "--schedule", spec, "--format", "json")
    assert "peak rate" in " ".join(json.loads(out)["warnings"])
    _, out, err = run("predict", posterior_file, "--schedule", spec, "--format", "csv")
    assert "warning" not in out
    assert err.startswith("warning: cosine: ")


def test_nothing_is_overwritten_without_force(run, posterior_file, tmp_path):
    target = tmp_path / "bands.csv"
    target.write_text("mine")
    assert run("predict", posterior_file, "--schedule", WSD, "-o", target)[0] == 2
    assert target.read_text() == "mine"
    assert run("predict", posterior_file, "--schedule", WSD, "-o", target, "--force")[0] == 0
    assert list(pd.read_csv(target).columns) == BANDS
    assert [path.name for path in tmp_path.iterdir()] == ["bands.csv"]


def test_pictures_are_written(run, posterior_file, tmp_path):
    for name, start in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")):
        assert run("predict", posterior_file, "--schedule", WSD, "--plot", tmp_path / name)[0] == 0
        assert (tmp_path / name).read_bytes().startswith(start)
    arguments = ["--schedule", WSD, "--schedule", COSINE, "--plot", tmp_path / "b.png"]
    assert run("compare", posterior_file, *arguments)[0] == 0
    assert (tmp_path / "b.png").stat().st_size > 10_000


def test_compare_in_every_format(run, posterior_file, small_posterior):
    arguments = ["compare", posterior_file, "--schedule", WSD, "--schedule", f"half={COSINE}"]
    code, out, _ = run(*arguments)
    assert code == 0
    assert fits_a_terminal(out)
    assert "P(best)" in out
    _, out, _ = run(*arguments, "--format", "json")
    answer = json.loads(out)
    plans = {"wsd": bl.schedules.parse_schedule(WSD), "half": bl.schedules.parse_schedule(COSINE)}
    forecast = bl.predict(small_posterior, plans, seed=0)
    expected = bl.compare_schedules(forecast)
    for name in plans:
        found = answer["schedules"][name]
        assert set(found) == {"final_loss", "p_best", "expected_regret"}
        assert found["p_best"] == pytest.approx(expected.p_best[name])
        # the loss that `predict` reports, by the same name
        assert found["final_loss"]["median"] == pytest.approx(forecast.final_loss().loc[name, "median"])
    assert answer["differences"][0]["p_first_lower"] == pytest.approx(expected.differences["p_first_lower"][0])
    _, out, _ = run(*arguments, "--format", "csv")
    table = pd.read_csv(io.StringIO(out), index_col="schedule")
    assert table["p_best"].sum() == pytest.approx(1.0)


def test_long_names_fit_a_terminal(run, posterior_file):
    long = [f"{'a_schedule_with_a_very_long_name_' * 2}{k}" for k in range(2)]
    code, out, _ = run("compare", posterior_file, *(x for name in long for x in ("--schedule", f"{name}={WSD}")))
    assert code == 0
    assert fits_a_terminal(out)


def test_predict_from_a_run_that_has_begun(run, posterior_file, partial_run, monkeypatch):
    asked, predict = {}, bl.predict

    def fake(posterior, plans, *, observed, **settings):
        asked["observed"] = observed
        return predict(posterior, plans, **settings)

    monkeypatch.setattr(bl, "predict", fake)
    code, out, err = run("predict", posterior_file, "--schedule", WSD, "--observed", partial_run, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["final_loss"]["wsd"]["median"] > 0.0
    assert json.loads(out)["basis"] == ""
    assert asked["observed"].steps.max() == 1180
    assert asked["observed"].schedule == bl.schedules.parse_schedule(WSD)


def test_an_observed_log_may_begin_late(run, posterior_file, partial_run, monkeypatch, tmp_path):
    """Its schedule says what came before."""
    late, asked, predict = tmp_path / "late.csv", {}, bl.predict
    table = pd.read_csv(partial_run)
    table[table["step"] > 900].to_csv(late, index=False)

    def fake(posterior, plans, *, observed, **settings):
        asked["observed"] = observed
        return predict(posterior, plans, **settings)

    monkeypatch.setattr(bl, "predict", fake)
    code, _, err = run("predict", posterior_file, "--schedule", WSD, "--observed", late)
    assert code == 0, err
    assert asked["observed"].steps.min() > 900


def test_help_and_front_door_load_nothing_heavy():
    code = """
import sys
import bayeslr, bayeslr.cli
try:
    code = bayeslr.cli.main(["predict", "--help"])
finally:
    heavy = {"jax", "numpyro", "pandas", "scipy", "matplotlib", "xarray", "arviz_stats"} & set(sys.modules)
assert code == 0 and not heavy, (code, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--schedule" in done.stdout


def test_every_public_name_is_there():
    assert {"fit", "predict", "plots", "schedules", "read_curves", "ScalingModel"} <= set(bl.__all__)
    for name in bl.__all__:
        assert getattr(bl, name).__doc__, name


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fit", "--help"]])
def test_help_is_printed(run, arguments):
    code, out, _ = run(*arguments)
    assert code == 0
    assert "Usage: bayeslr" in out
