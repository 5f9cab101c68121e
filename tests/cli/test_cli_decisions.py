"""The commands that answer what to do say what the library says."""

import html
import json
import warnings

import pytest

import bayeslr as bl
from bayeslr.errors import BayeslrWarning, ExtrapolationWarning

FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=100..1900)"
TARGET = FAMILY.replace("100..1900", "400")
LENGTHS = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=800..4000, decay_steps=20%)"


def test_optimize_prints_what_the_library_says(run, posterior_file, tmp_path):
    picture, table = tmp_path / "regret.png", tmp_path / "choices.csv"
    arguments = ("optimize", posterior_file, "--schedule", FAMILY, "--points", 9, "--seed", 4)
    code, out, err = run(*arguments, "--format", "json", "--plot", picture, "-o", table)
    assert code == 0, err
    found = bl.optimize(bl.load_posterior(posterior_file), FAMILY, seed=4, points=9)
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    assert picture.stat().st_size > 10_000
    assert len(table.read_text().splitlines()) == 10
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert found.best in out
    assert "All 9 choices: final loss without measurement noise" in out
    assert "12 of 41 choices (all with -o FILE): final loss" in run(*arguments[:4])[1]
    assert all(len(line) <= 80 for line in out.splitlines())
    assert run(*arguments, "--plot", picture)[0] == 2


def test_reach_prints_what_the_library_says(run, posterior_file, tmp_path):
    picture = tmp_path / "reach.svg"
    arguments = ("reach", posterior_file, "--schedule", LENGTHS, "--loss", 2.9, "--points", 9)
    code, out, err = run(*arguments, "--tokens-per-step", 1e6, "--format", "json", "--plot", picture)
    assert code == 0, err
    found = bl.reach(bl.load_posterior(posterior_file), LENGTHS, loss=2.9, seed=0, points=9, tokens_per_step=1e6)
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    assert picture.read_text().lstrip().startswith("<?xml")
    code, out, _ = run(*arguments[:4], "--beat", FAMILY.replace("100..1900", "400"), "--points", 9)
    assert code == 0
    assert "beats the baseline" in out


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("optimize", "--schedule", "wsd(peak_lr=1e-3, total_steps=9)"), "nothing is left free"),
        (("optimize", "--schedule", FAMILY, "--risk", "2"), "risk: found 2.0"),
        (
            ("reach", "--schedule", LENGTHS),
            "found neither a loss to reach nor a baseline to beat; allowed: one of --loss and --beat",
        ),
        (("reach", "--schedule", FAMILY, "--loss", "2.9"), "total_steps alone"),
    ],
)
def test_wrong_questions_are_one_line(run, posterior_file, arguments, found):
    code, out, err = run(arguments[0], posterior_file, *arguments[1:])
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert found in err
    assert err.count("\n") == 1


def test_compare_takes_a_running_and_a_finished_run(run, posterior_file, partial_run, small_curves, tmp_path):
    arguments = ("compare", posterior_file, "--run", "constant", "--then", "now=linear(decay_steps=400)")
    arguments += ("--finished", "drops", "--baseline", "drops", "--by", 0.001)
    code, out, err = run(*arguments, "--format", "json")
    assert code == 0, err
    read = json.loads(out)
    found = bl.compare(
        bl.load_posterior(posterior_file),
        observed="constant",
        then={"now": "linear(decay_steps=400)"},
        finished=[small_curves["drops"]],
        baseline="drops",
        by=0.001,
        seed=0,
    )
    assert read == json.loads(json.dumps(found.to_dict()))
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "Ends below drops by at least 0.001: now with probability" in out


def test_compare_takes_weight_decays_of_all_plans_and_of_one(run, posterior_file):
    plans = {"a": "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=500)"}
    plans["b"] = plans["a"].replace("500", "900")
    asked = [text for name, spec in plans.items() for text in ("--schedule", f"{name}={spec}")]
    code, out, err = run(
        *("compare", posterior_file, *asked, "--weight-decay", "b=0.3", "--weight-decay", "0.2", "--format", "json")
    )
    assert code == 0, err
    assert "no fitted run has the weight decay 0.3 (fitted: 0.1)" in " ".join(err.split())
    with pytest.warns(ExtrapolationWarning, match=r"weight decay 0\.[23] \(fitted: 0\.1\)"):
        found = bl.compare(
            bl.load_posterior(posterior_file),
            {name: bl.schedules.parse_schedule(spec) for name, spec in plans.items()},
            weight_decay={"a": 0.2, "b": 0.3},
        )
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    assert {name: each["weight_decay"] for name, each in json.loads(out)["schedules"].items()} == {"a": 0.2, "b": 0.3}
    assert "batch_size" not in json.loads(out)["schedules"]["a"]
    for command in ("compare", "predict"):
        code, out, err = run(command, posterior_file, *asked, "--weight-decay", "b=0.3")
        assert code == 0, err
        rows = out[: out.index("\n\n")].splitlines()
        assert [row.split()[:2] for row in rows if row.startswith(("a ", "b "))] == [["a", "0.1"], ["b", "0.3"]]
        assert any("decay" in row for row in rows)
        code, out, err = run(command, posterior_file, *asked)
        assert code == 0, err
        assert "decay" not in out[: out.index("\n\n")]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (
            ("--schedule", "a=constant(peak_lr=1e-3, total_steps=9)", "--finished", "drops", "--batch-size", "b=2"),
            "'b'",
        ),
        (
            ("--schedule", "constant(peak_lr=1e-3, total_steps=9)", "--finished", "drops", "--batch-size", "-2"),
            "found -2",
        ),
        (("--then", "linear(decay_steps=5)"), "found one alternative"),
        (("--then", "a=linear(decay_steps=5)", "--then", "a=constant(steps=5)"), "two are called 'a'"),
        (("--finished", "nobody", "--finished", "drops"), "found 'nobody'"),
        (("--run", "constant", "--then", "linear(steps=5)", "--finished", "drops"), "argument 'steps'"),
        (("--run", "constant", "--observed", "x.csv", "--finished", "drops", "--finished", "cosine"), "--observed too"),
    ],
)
def test_wrong_alternatives_are_one_line(run, posterior_file, arguments, found):
    code, out, err = run("compare", posterior_file, *arguments)
    assert (code, out) == (2, "")
    assert found in err
    assert err.count("\n") == 1


def test_next_run_prints_what_the_library_says(run, posterior_file, tmp_path):
    target = TARGET
    short = "cosine(peak_lr=1e-3, warmup_steps=100, total_steps=1000)"
    picture = tmp_path / "gain.png"
    arguments = ("next-run", posterior_file, "--target", target, "--candidate", f"short={short}", "--candidate", target)
    code, out, err = run(*arguments, "--format", "json", "--plot", picture)
    assert code == 0, err
    candidates = {"short": bl.schedules.parse_schedule(short), "wsd": bl.schedules.parse_schedule(target)}
    found = bl.next_run(bl.load_posterior(posterior_file), candidates["wsd"], candidates, seed=0)
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    assert picture.stat().st_size > 5_000
    code, out, err = run(*arguments[:4], "--candidate", f"a={short} on nowhere")
    assert (code, out) == (2, "")
    assert "size: found 'nowhere'" in err


@pytest.mark.parametrize(
    ("arguments", "ask"),
    [
        (("optimize", "--schedule", FAMILY, "--points", 3), lambda p, **s: bl.optimize(p, FAMILY, points=3, **s)),
        (("reach", "--schedule", LENGTHS, "--loss", 2.9), lambda p, **s: bl.reach(p, LENGTHS, loss=2.9, **s)),
        (
            ("next-run", "--target", TARGET, "--draws", 300),
            lambda p, **s: bl.next_run(p, bl.schedules.parse_schedule(TARGET), num_draws=300, **s),
        ),
    ],
)
def test_batch_size_and_weight_decay_are_those_of_all_runs_asked_about(run, posterior_file, arguments, ask):
    command, *rest = arguments
    code, out, err = run(command, posterior_file, *rest, "--weight-decay", 0.02, "--batch-size", 64, "--format", "json")
    assert code == 0, err
    assert "batch size 64" in err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayeslrWarning)
        found = ask(bl.load_posterior(posterior_file), weight_decay=0.02, batch_size=64.0)
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))


def test_watch_keeps_its_forecasts_and_ends_with_1_after_an_alarm(run, posterior_file, partial_run, tmp_path):
    log, plan = tmp_path / "run.csv", "constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
    arguments = ("watch", posterior_file, "--observed", log, "--schedule", plan, "--every", 5000)
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "0 of 2,000 steps" in out
    rows = partial_run.read_text().splitlines()
    log.write_text("\n".join(rows) + "\n")
    code, out, err = run(*arguments, "--format", "json", "--plot", tmp_path / "watch.png")
    assert code == 0, err
    read = json.loads(out)
    assert (read["step"], read["alarm"], len(read["forecasts"])) == (1180, False, 1)
    assert (tmp_path / "run.csv.watch.json").exists()
    log.write_text("\n".join(rows + [f"{step},4.5" for step in range(1200, 1900, 20)]) + "\n")
    code, out, err = run(*arguments)
    assert code == 1
    assert "ALARM" in out


@pytest.mark.filterwarnings("ignore::bayeslr.errors.BayeslrWarning")
def test_watch_and_report_take_a_weight_decay(run, posterior_file, tmp_path):
    plan = "constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000)"
    ends = {}
    for decay in (0.1, 5.0):
        forecast = bl.predict(bl.load_posterior(posterior_file), bl.schedules.parse_schedule(plan), weight_decay=decay)
        ends[decay] = forecast.final_loss().iloc[0]["median"]
        log, page = tmp_path / f"{decay}.csv", tmp_path / f"{decay}.html"
        arguments = (posterior_file, "--weight-decay", decay, "--schedule")
        out = run("watch", *arguments, plan, "--observed", log, "--format", "json")[1]
        assert json.loads(out)["forecasts"][0]["median"] == pytest.approx(ends[decay], abs=2e-4)
        assert run("report", *arguments, plan, "-o", page)[0] == 0
        assert f"{ends[decay]:.4f}" in page.read_text()
    assert abs(ends[0.1] - ends[5.0]) > 1e-3


def test_plans_alone_are_compared_as_schedules(run, posterior_file):
    plans = (
        "--schedule",
        f"a={FAMILY.replace('100..1900', '400')}",
        "--schedule",
        f"b={FAMILY.replace('100..1900', '900')}",
    )
    out = run("compare", posterior_file, *plans)[1]
    assert "This compares schedules" in out
    assert "First minus second, schedules, without measurement noise" in out
    single = json.loads(run("compare", posterior_file, *plans, "--question", "run", "--format", "json")[1])
    assert single["question"] == "run"


def test_a_candidate_of_a_size_that_is_none_is_named(run, posterior_file):
    target = TARGET
    code, out, err = run("next-run", posterior_file, "--target", target, "--candidate", f"tiny={target} on 25k")
    assert (code, out) == (2, "")
    assert err.startswith("error: candidate tiny: size: found '25k', but this posterior knows small (10,000,000) alone")


def test_a_decision_on_the_page_is_that_of_its_own_command(run, posterior_file, tmp_path):
    """The same draws, so the same digits; and what the page warns of, the terminal warns of."""
    path, plan = tmp_path / "page.html", FAMILY.replace("100..1900", "400")
    wide = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=5000..20000, decay_steps=20%)"
    asked = ("--optimize", wide, "--reach", LENGTHS, "--target", 2.9)
    code, out, err = run("report", posterior_file, "--schedule", plan, *asked, "-o", path)
    assert (code, err) == (0, "")
    page = " ".join(html.unescape(path.read_text()).split())
    said = " ".join(out.split())
    posterior = bl.load_posterior(posterior_file)
    with pytest.warns(bl.errors.ExtrapolationWarning):
        found = [bl.optimize(posterior, wide), bl.reach(posterior, LENGTHS, loss=2.9)]
    for answer in found:
        for line in answer.sentences:
            assert line in page
            assert line in said
        for line in answer.warnings:
            assert line in page
            assert f"warning: {line}" in said
    assert found[0].warnings
    # a path stays whole, however long it is
    assert max(len(line) for line in out.splitlines() if str(path) not in line) <= 80


def test_report_is_the_page_of_the_library(run, posterior_file, tmp_path):
    path = tmp_path / "page.html"
    arguments = ("report", posterior_file, "--schedule", FAMILY.replace("100..1900", "400"), "-o", path, "--draws", 200)
    code, out, err = run(*arguments, "--measured", "constant", "--title", "Ours & theirs")
    assert code == 0, err
    page = path.read_text()
    assert "<h1>Ours &amp; theirs</h1>" in page
    assert "is expected to end at" in out
    code, out, err = run(*arguments)
    assert code == 2
    assert "exists" in err


@pytest.mark.slow
def test_metric_reads_pairs(run, posterior_file, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("loss,arc\n" + "".join(f"{x / 10},{0.9 - x / 50:.3f}\n" for x in range(26, 36)))
    arguments = ("metric", posterior_file, "--pairs", pairs, "--schedule", FAMILY.replace("100..1900", "400"))
    code, out, err = run(*arguments, "--format", "json")
    assert code == 0, err
    read = json.loads(out)
    assert read["metric"] == "arc"
    assert 0.2 < read["final"]["wsd"]["median"] < 0.45
    code, out, err = run(*arguments, "--column", "mmlu")
    assert (code, out) == (2, "")
    assert "found the columns loss, arc" in err
