"""Manifests: what they may say, and what becomes of it."""

import warnings

import numpy as np
import pytest

from bayeslr.errors import CurveError, DataWarning, LogError, ManifestError, ScheduleMismatchWarning
from bayeslr.logs import read_curves
from bayeslr.schedules import wsd

CONSTANT = "constant(peak_lr=1e-3, total_steps=1000)"
WSD = "wsd(peak_lr=1e-3, final_lr=0, decay_steps={}, total_steps=1000)"


def log(path, *, first=10, offset=0.0, schedule=None, drop_from=1000):
    steps = np.arange(first, 1001, 10)
    loss = 3 + 5 / np.sqrt(steps) + offset - np.maximum(0, steps - drop_from) / 1e4
    path.parent.mkdir(exist_ok=True)
    lr = [""] * steps.size if schedule is None else [repr(float(schedule.lr[min(s, 999)])) for s in steps]
    rows = [f"{s},{x!r},{r}" for s, x, r in zip(steps.tolist(), loss.tolist(), lr, strict=True)]
    path.write_text("\n".join(["step,loss,lr", *rows]) + "\n")


def manifest(tmp_path, text):
    path = tmp_path / "lists" / "runs.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def experiment(tmp_path):
    """A trunk, two cool-downs that begin in the middle, and a run of another size."""
    log(tmp_path / "logs" / "trunk.csv")
    log(tmp_path / "logs" / "late.csv", first=600, drop_from=600)
    log(tmp_path / "logs" / "early.csv", first=400, drop_from=400)
    log(tmp_path / "logs" / "large.csv", offset=-0.5)
    return manifest(
        tmp_path,
        "\ufeffrun,file,size,params,schedule,split,seed,rerun,note\r\n"
        f'late,../logs/late.csv,S,1M,"{WSD.format(400)}",test,1,false,\r\n'
        "\r\n"
        f'trunk,../logs/trunk.csv,S,1e6,"{CONSTANT}",train,1,False,long\r\n'
        f'early,../logs/early.csv,S,1000000,"{WSD.format(600)}",train,2,TRUE,\r\n'
        f'large,../logs/large.csv,40M,,"{CONSTANT}",train,3,False,\r\n',
    )


def test_columns(experiment):
    curves = read_curves(experiment)
    assert curves.names == ("late", "trunk", "early", "large")
    assert [c.params for c in curves] == [1e6, 1e6, 1e6, 40e6]
    assert [c.size for c in curves] == ["S", "S", "S", "40M"]
    assert dict(curves["trunk"].metadata) == {"split": "train", "seed": 1, "rerun": False, "note": "long"}
    assert curves["early"].metadata["rerun"] is True
    assert curves["early"].metadata["note"] is None
    assert curves["early"].schedule == wsd(peak_lr=1e-3, decay_steps=600, total_steps=1000)


def test_branches_find_their_trunk(experiment):
    curves = read_curves(experiment)
    assert [c.metadata.get("parent") for c in curves] == ["trunk", None, "trunk", None]
    assert [len(c) for c in curves] == [100] * 4
    assert [int(own.sum()) for own in curves.owned()] == [100, 40, 60, 100]


def test_parents_are_found_among_the_runs_that_are_not_selected(experiment):
    (early,) = read_curves(experiment, where="run == 'early'")
    assert early.metadata["parent"] == "trunk"
    assert early.steps.tolist() == list(range(10, 1001, 10))


def test_runs_that_are_not_needed_are_not_read(experiment, tmp_path):
    (tmp_path / "logs" / "large.csv").unlink()
    (tmp_path / "logs" / "late.csv").write_text("step,loss\nx,y\n")
    assert read_curves(experiment, where="run == 'trunk'").names == ("trunk",)
    with pytest.raises(ManifestError, match=r"runs.csv, line 6: the file of run 'large', .*large.csv, does not exist"):
        read_curves(experiment)


def test_without_its_trunk_a_branch_is_refused(experiment, tmp_path):
    (tmp_path / "logs" / "trunk.csv").unlink()
    with pytest.raises(CurveError, match=r"run 'late' starts at step 600.*`parent`"):
        read_curves(experiment, where="run == 'late'")
    (late,) = read_curves(experiment, where="run == 'late'", allow_late_start=True)
    assert late.steps[0] == 600


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("split == 'train' and size == 'S'", ("trunk", "early")),
        ("rerun", ("early",)),
        ("not rerun and seed < 3", ("late", "trunk")),
        ("params > 1e7", ("large",)),
        ("total_steps == 1000 and peak_lr == 1e-3 and run != 'large'", ("late", "trunk", "early")),
        ("note.isna()", ("late", "early", "large")),
    ],
)
def test_where(experiment, where, names):
    assert read_curves(experiment, where=where).names == names


def test_a_named_parent(tmp_path):
    log(tmp_path / "logs" / "a.csv", offset=0.2)
    log(tmp_path / "logs" / "b.csv")
    log(tmp_path / "logs" / "c.csv", first=600, drop_from=600)
    path = manifest(
        tmp_path,
        "run,file,schedule,parent\n"
        f'a,../logs/a.csv,"{CONSTANT}",\nb,../logs/b.csv,"{CONSTANT}",\nc,../logs/c.csv,"{WSD.format(400)}",a\n',
    )
    with pytest.warns(DataWarning, match="'c' begins at step 600 with a loss of 3.204, but its parent 'a' has 3.404"):
        assert read_curves(path)["c"].loss[0] == pytest.approx(3 + 5 / np.sqrt(10) + 0.2)
    with pytest.warns(DataWarning, match="is it the right parent"):
        (only,) = read_curves(path, where="run == 'c'")
    assert only.metadata["parent"] == "a"


def test_logged_rates_are_the_schedule_where_none_is_given(tmp_path):
    schedule = wsd(peak_lr=1e-3, decay_steps=400, warmup_steps=20, total_steps=1000)
    log(tmp_path / "logs" / "a.csv", schedule=schedule)
    path = manifest(tmp_path, "run,file,schedule\na,../logs/a.csv,\n")
    (curve,) = read_curves(path)
    # Exact but for the last stretch, where the log has the rate of the last update instead of the next one.
    np.testing.assert_allclose(curve.schedule.lr[:990], schedule.lr[:990], atol=1e-15)
    np.testing.assert_allclose(curve.schedule.lr, schedule.lr, atol=2.6e-6)
    assert curve.schedule.warmup_steps == 20


def test_schedule_files_are_relative_to_the_manifest(tmp_path):
    log(tmp_path / "logs" / "a.csv")
    path = manifest(tmp_path, "run;file;schedule\na;../logs/a.csv;@plan.csv\n")
    (path.parent / "plan.csv").write_text("step,lr\n0,0.5\n999,0.5\n")
    assert read_curves(path)["a"].schedule.lr.tolist() == [0.5] * 1000


def mismatch(tmp_path, change):
    schedule = wsd(peak_lr=1e-3, decay_steps=400, warmup_steps=105, total_steps=1000)
    lr = schedule.lr.copy()
    change(lr)
    steps = np.arange(10, 1001, 10)
    rows = [f"{s},{5 - s / 1000},{float(lr[min(s, 999)])!r}" for s in steps]
    (tmp_path / "a.csv").write_text("\n".join(["step,loss,lr", *rows]))
    (tmp_path / "runs.csv").write_text(
        "run,file,schedule\n"
        'a,a.csv,"wsd(peak_lr=1e-3, final_lr=0, decay_steps=400, warmup_steps=105, total_steps=1000)"\n'
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read_curves(tmp_path / "runs.csv")
    return said


def test_logged_rates_that_disagree_with_the_schedule(tmp_path):
    def change(lr):
        lr[300:320] = 7e-4
        lr[310] = 6e-4

    (warning,) = mismatch(tmp_path, change)
    assert warning.category is ScheduleMismatchWarning
    assert "2 of 90 logged rates differ" in str(warning.message)
    assert "most at step 310: 0.0006 logged, 0.001 scheduled" in str(warning.message)


@pytest.mark.parametrize(
    "change",
    [
        lambda lr: lr.__setitem__(slice(0, 105), 1e-3),  # inside the warm-up
        lambda lr: lr.__setitem__(slice(1, None), lr[:-1].copy()),  # the rate of the last update, not of the next
        lambda lr: lr.__setitem__(999, 0.0),  # zero when the run is over
        lambda lr: lr.__imul__(1.005),  # rounding
    ],
)
def test_harmless_differences_of_rates(tmp_path, change):
    assert mismatch(tmp_path, change) == []


@pytest.mark.parametrize(("logged", "warned"), [(1.0, False), (0.1, False), (0.5, True)])
def test_at_a_drop_the_rate_before_and_the_rate_after_are_right(tmp_path, logged, warned):
    (tmp_path / "a.csv").write_text(f"step,loss,lr\n400,5,1\n500,4,{logged}\n600,3,0.1\n")
    (tmp_path / "runs.csv").write_text(
        'run,file,schedule\na,a.csv,"multistep(peak_lr=1, milestones=[500], lrs=[0.1], total_steps=900)"\n'
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read_curves(tmp_path / "runs.csv")
    assert bool(said) == warned


def test_losses_beyond_the_schedule_are_dropped_and_counted(tmp_path):
    log(tmp_path / "a.csv")
    (tmp_path / "runs.csv").write_text('run,file,schedule\na,a.csv,"constant(peak_lr=1, total_steps=975)"\n')
    with pytest.warns(DataWarning, match="3 losses are beyond the 975 steps of the schedule: dropped"):
        assert read_curves(tmp_path / "runs.csv")["a"].steps[-1] == 970


def test_a_single_log_is_no_manifest(tmp_path):
    schedule = wsd(peak_lr=1e-3, decay_steps=400, total_steps=1000)
    log(tmp_path / "a.csv", schedule=schedule)
    assert read_curves(tmp_path / "a.csv").names == ("a",)
    with pytest.raises(ManifestError, match="`where` is 'x', but this is no manifest"):
        read_curves(tmp_path / "a.csv", where="x")
    log(tmp_path / "b.csv")
    with pytest.raises(LogError, match=r"no schedule is given and no rates are logged \(columns: step, loss, lr\)"):
        read_curves(tmp_path / "b.csv")


def test_circles_of_parents(tmp_path):
    log(tmp_path / "a.csv", first=600)
    path = tmp_path / "runs.csv"
    path.write_text(f'run,file,schedule,parent\na,a.csv,"{CONSTANT}",b\nb,a.csv,"{CONSTANT}",a\n')
    with pytest.raises(CurveError, match=r"circle \(a -> b -> a\)"):
        read_curves(path)
