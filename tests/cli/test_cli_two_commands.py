"""From three CSV files in a folder to a comparison in two commands, as the front page says."""

import json
from shutil import copy

import bayeslr as bl

COMMON = "peak_lr=8e-3, warmup_steps=200"


def test_two_commands(run, tmp_path):
    for name in ("constant", "cosine", "wsd20"):
        copy(bl.datasets.manifest_path("tiny_lm").parent / "80k" / f"{name}_4000.csv", tmp_path / f"{name}.csv")
    logs = sorted(tmp_path.glob("*.csv"))
    fitted = tmp_path / "posterior.nc"
    code, _, told = run("fit", *logs, "-o", fitted, "--method", "laplace")
    assert code == 0
    assert all(f"\n{path.stem}: " in told for path in logs)
    plans = (f"cosine({COMMON}, total_steps=8000)", f"wsd({COMMON}, decay_steps=2000, total_steps=8000)")
    asked = [part for plan in plans for part in ("--schedule", plan)]
    code, out, _ = run("compare", fitted, *asked, "--format", "json")
    assert code == 0
    answer = json.loads(out)
    assert set(answer["schedules"]) == {"cosine", "wsd"}
    # what the files hold: a cool-down after 4000 steps ends at 1.33 to 1.37, and twice the steps end lower
    finals = [schedule["final_loss"] for schedule in answer["schedules"].values()]
    assert all(1.1 < final["lower"] < final["median"] < final["upper"] < 1.45 for final in finals)
