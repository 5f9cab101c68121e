"""The public loss curves: everything is read, nothing is counted twice. Checked against plain pandas."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bayeslr.errors import DataWarning, ScheduleMismatchWarning
from bayeslr.logs import read_curves

OLMO_LOSS = "eval/c4_en-validation/CrossEntropyLoss"


def read(folder, **options):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return read_curves(folder / "runs.csv", **options), said


def plain(folder, loss):
    """The runs as pandas reads them: manifest row and table of steps >= 1, the last of repeated steps."""
    runs = pd.read_csv(folder / "runs.csv")
    tables = {}
    for row in runs.itertuples():
        table = pd.read_csv(folder / row.file).rename(columns={"_step": "step", loss: "measured"})
        table = table.dropna(subset=["measured"]).drop_duplicates("step", keep="last")
        tables[row.run] = table[table["step"] >= 1].set_index("step")["measured"]
    return runs.set_index("run"), tables


@pytest.fixture(scope="module")
def multi_power_law(data_dir):
    return read(data_dir / "multi-power-law"), plain(data_dir / "multi-power-law", "loss")


@pytest.fixture(scope="module")
def epfl(data_dir):
    folder = data_dir / "epfl-schedules"
    return read(folder, loss="val_loss"), plain(folder, "val_loss")


def test_multi_power_law(multi_power_law):
    (curves, said), (runs, tables) = multi_power_law
    assert said == []
    assert list(curves.names) == list(runs.index)
    assert len(curves) == 18
    for curve in curves:
        assert curve.steps.tolist() == tables[curve.name].index.tolist()
        assert curve.loss.tolist() == tables[curve.name].tolist()
        assert curve.params == runs.params[curve.name]
        assert curve.metadata == {"split": runs.split[curve.name]}  # none was taken for a branch: no parent
        assert curve.schedule.warmup_steps == 2160


def test_multi_power_law_is_counted_once(multi_power_law):
    """Groups of the same step, loss and rates before it, found with pandas: one owner each.

    Single steps at which independent runs agree by chance are groups too, so a few are owned more than once; a run
    that is a branch of another owns nothing up to the branch point.
    """
    (curves, _), _ = multi_power_law
    rows = pd.concat(
        pd.DataFrame(
            {
                "size": c.size,
                "step": c.steps,
                "loss": c.loss,
                # Rates are told apart by their sum and sum of squares up to the step.
                "past": [f"{a:.9g} {b:.9g}" for a, b in zip(*_sums(c), strict=True)],
                "owned": own,
            }
        )
        for c, own in zip(curves, curves.owned(), strict=True)
    )
    owners = rows.groupby(["size", "step", "loss", "past"])["owned"].sum()
    assert owners.min() == 1
    assert (owners > 1).sum() < 0.005 * len(owners)
    own = dict(zip(curves.names, curves.owned(), strict=True))
    for name, branch_point in (("wsd_20000_24000", 20_000), ("wsdld_20000_24000", 20_000), ("wsdcon_9", 7_900)):
        for size in ("25M", "100M"):
            curve = curves[f"{size}/{name}"]
            assert not own[curve.name][curve.steps <= branch_point].any()
            assert own[curve.name][curve.steps > branch_point + 130].mean() > 0.95


def _sums(curve):
    lr = curve.schedule.lr
    return [np.concatenate([[0], np.cumsum(x)])[curve.steps] for x in (lr, lr**2)]


def test_multi_power_law_trunks(multi_power_law):
    """The 25M cool-downs left the 72,000-step constant run, the 100M ones the 24,000-step one."""
    (curves, _), _ = multi_power_law
    trunk = {c.name: curves.names[t] if t >= 0 else None for c, t in zip(curves, curves.trunks(), strict=True)}
    for size, constant in (("25M", "constant_72000"), ("100M", "constant_24000")):
        assert trunk[f"{size}/wsd_20000_24000"] == f"{size}/{constant}"
        assert trunk[f"{size}/wsdld_20000_24000"] == f"{size}/{constant}"
        assert trunk[f"{size}/cosine_72000"] is None


def test_olmo(data_dir):
    curves, said = read(data_dir / "olmo-ladder", loss=OLMO_LOSS)
    runs, tables = plain(data_dir / "olmo-ladder", OLMO_LOSS)
    (warning,) = said
    assert "190M-10xC.csv and 1 more: the first rate is logged at step 1000, and the rates" in str(warning.message)
    assert list(curves.names) == list(runs.index)
    assert len(curves) == 24
    assert {c.size: c.params for c in curves} == {"190M": 190e6, "370M": 370e6, "760M": 760e6, "1B": 1e9}
    for curve in curves:
        table = pd.read_csv(data_dir / "olmo-ladder" / runs.file[curve.name])
        logged = table.dropna(subset=["optim/learning_rate_group0"]).set_index("_step")["optim/learning_rate_group0"]
        at = logged.index[logged.index < curve.schedule.total_steps]
        np.testing.assert_allclose(curve.schedule.lr[at], logged[at], rtol=1e-12)
        assert curve.schedule.total_steps == table["_step"].max()
        assert curve.loss.tolist() == tables[curve.name].tolist()


def test_olmo_says_which_of_its_losses_was_taken(data_dir):
    curves, said = read(data_dir / "olmo-ladder", where="run == '190M-1xC'")
    (warning,) = said
    assert warning.category is DataWarning
    assert f"'{OLMO_LOSS}' was taken, not" in str(warning.message)
    assert curves.names == ("190M-1xC",)


def test_epfl(epfl):
    (curves, said), (runs, tables) = epfl
    assert list(curves.names) == list(runs.index)
    assert len(curves) == 115
    assert not [w for w in said if issubclass(w.category, ScheduleMismatchWarning)]
    assert all("are repeated with other values" in str(w.message) for w in said)
    for curve in curves:
        own = tables[curve.name]
        late = own.index[0] > 1000
        assert ("parent" in curve.metadata) == late
        assert curve.steps[0] == 200
        after = curve.steps > own.index[0]
        assert curve.steps[after].tolist() == own.index[1:].tolist()
        assert curve.loss[after].tolist() == own.iloc[1:].tolist()


def test_epfl_parents_agree_at_the_branch_point(epfl):
    """The parent is the constant run of the same data set and peak rate whose loss there is the same to 5e-5."""
    (curves, _), (runs, tables) = epfl
    branches = [c for c in curves if "parent" in c.metadata]
    assert len(branches) == (runs.first_step > 1000).sum() == 51
    for branch in branches:
        parent = branch.metadata["parent"]
        first = tables[branch.name].index[0]
        assert runs.schedule[parent].startswith("constant(")
        for column in ("size", "params", "dataset", "peak_lr"):
            assert runs[column][parent] == runs[column][branch.name]
        assert abs(tables[parent][first] - tables[branch.name][first]) < 6e-5
        before = branch.steps <= first
        assert branch.loss[before].tolist() == tables[parent].loc[:first].tolist()


def test_epfl_by_hand(epfl):
    """OpenWebText2, 31M: cooled from step 10,000 of the 17,500-step constant run."""
    (curves, _), _ = epfl
    curve = curves["openwebtext2_L10H8D512_lr0.001_wsd_linear0.2_12500"]
    trunk = curves["openwebtext2_L10H8D512_lr0.001_wsd_linear0_17500"]
    assert curve.metadata["parent"] == trunk.name
    assert curve.steps.tolist() == list(range(200, 12_401, 200))
    values = dict(zip(curve.steps.tolist(), curve.loss.tolist(), strict=True))
    assert values[10_000] == 3.459994  # as the trunk has it; the branch's own evaluation says 3.460021
    assert values[10_200] == 3.450547
    assert values[12_400] == 3.299205
    assert curve.schedule.lr[9_999] == 1e-3
    assert curve.schedule.lr[11_250] == pytest.approx(5e-4)
    pair = curves.select("run.str.startswith('openwebtext2_L10H8D512_lr0.001_wsd')")
    own = dict(zip(pair.names, pair.owned(), strict=True))
    assert own[trunk.name].sum() == 17  # all but the steps up to 14,000, which a cool-down before it has
    assert pair.trunks()[pair.names.index(trunk.name)] == 1


@pytest.mark.parametrize("budget", [10, 40])
def test_epfl_thinned_is_counted_once(epfl, budget):
    (curves, _), _ = epfl
    thinned = curves.select("size == 'L12H12D768'").thin(budget)
    assert max(map(len, thinned)) <= budget
    rows = pd.concat(
        pd.DataFrame({"step": c.steps, "loss": c.loss, "peak": c.schedule.peak_lr, "owned": own})
        for c, own in zip(thinned, thinned.owned(), strict=True)
    )
    # Losses have six decimals here: the same one at the same step is the same measurement.
    assert (rows.groupby(["step", "loss", "peak"])["owned"].sum() == 1).all()
