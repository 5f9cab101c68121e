"""Posterior files: everything comes back, and anything that is no such file is one line."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayeslr.curves import CurveSet
from bayeslr.errors import BayeslrWarning, FitWarning, PosteriorError
from bayeslr.forecast import predict
from bayeslr.inference import fit, load_posterior, write_atomically
from bayeslr.inference.integrity import sealed
from bayeslr.laws import EffectiveRateLaw, WeightNormRate
from bayeslr.model import Discrepancy, model_settings
from bayeslr.report import outlook
from bayeslr.schedules import cosine

LINE = r"^[^\n]+$"


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture(scope="module")
def saved(small_posterior, tmp_path_factory):
    return small_posterior.save(tmp_path_factory.mktemp("posterior") / "p.nc")


def test_everything_comes_back(saved, small_posterior):
    loaded = load_posterior(saved)
    assert set(loaded.draws) == set(small_posterior.draws)
    for name, array in small_posterior.draws.items():
        xr.testing.assert_identical(loaded.draws[name].reset_coords(drop=True), array.reset_coords(drop=True))
    effects = small_posterior.sample_effects()
    assert set(loaded.sample_effects()) == set(effects)
    for name, array in loaded.sample_effects().items():
        np.testing.assert_array_equal(array, effects[name], err_msg=name)
    assert loaded.summary().equals(small_posterior.summary())
    assert loaded.model == small_posterior.model
    assert dict(loaded.settings) == dict(small_posterior.settings)
    assert loaded.scale == small_posterior.scale
    assert (loaded.sizes, loaded.params, loaded.runs) == (
        small_posterior.sizes,
        small_posterior.params,
        small_posterior.runs,
    )
    for one, two in zip(loaded.curves, small_posterior.curves, strict=True):
        assert (one.name, one.size, one.params, dict(one.metadata)) == (
            two.name,
            two.size,
            two.params,
            dict(two.metadata),
        )
        assert one.schedule == two.schedule
        assert one.schedule.spec == two.schedule.spec
        np.testing.assert_array_equal(one.steps, two.steps)
        np.testing.assert_array_equal(one.loss, two.loss)


def test_a_second_generation_is_the_same(saved, tmp_path):
    again = load_posterior(load_posterior(saved).save(tmp_path / "again.nc"))
    first = load_posterior(saved)
    for name in first.draws:
        np.testing.assert_array_equal(again.draws[name], first.draws[name])


def test_the_file_says_how_it_was_made(saved):
    with xr.open_datatree(saved, engine="h5netcdf") as tree:
        attributes = tree.attrs
    assert set(json.loads(attributes["versions"])) == {"bayeslr", "jax", "numpyro", "numpy", "arviz-base", "python"}
    assert json.loads(attributes["settings"])["seed"] == 0
    assert len(attributes["data_sha256"]) == 64


def test_files_of_the_format_before_are_read(small_posterior, tmp_path, monkeypatch):
    """There, all draws were in one group, and losses one row per run."""
    monkeypatch.setattr("bayeslr.inference.posterior.FORMAT", 3)
    groups = {name: node.to_dataset() for name, node in small_posterior.tree.children.items() if name != "sampled"}
    losses = np.stack([curve.loss for curve in small_posterior.curves])
    observed = xr.Dataset({"loss": (("run", "obs"), losses)}, coords={"run": list(small_posterior.runs)})
    older = xr.DataTree.from_dict(groups | {"posterior": small_posterior.draws, "observed_data": observed})
    loaded = load_posterior(replace(small_posterior, tree=older).save(tmp_path / "p.nc"))
    assert {name: set(loaded.tree[name].data_vars) for name in ("posterior", "sampled")} == {
        name: set(small_posterior.tree[name].data_vars) for name in ("posterior", "sampled")
    }
    assert loaded.runs == small_posterior.runs
    assert loaded.tree["observed_data"]["loss"].equals(small_posterior.tree["observed_data"]["loss"])
    assert loaded.sample()["level"][7] == small_posterior.sample()["level"][7]


def test_files_without_an_amplitude_are_read_as_they_were_fitted(small_posterior, tmp_path, monkeypatch):
    """There, errors had the size that their scales say; an amplitude that is kept at 1 is that model."""
    monkeypatch.setattr("bayeslr.inference.posterior.FORMAT", 8)
    kept = replace(small_posterior.model, discrepancy=Discrepancy(amplitude_spread=0.0))
    groups = {name: node.to_dataset() for name, node in small_posterior.tree.children.items()}
    groups["sampled"] = groups["sampled"].drop_vars("discrepancy_amplitude")
    older = replace(small_posterior, tree=xr.DataTree.from_dict(groups), model=kept)
    described = model_settings(kept)
    del described["discrepancy"]["amplitude_spread"], described["discrepancy"]["amplitude"]
    monkeypatch.setattr("bayeslr.inference.posterior.model_settings", lambda model: described)
    loaded = load_posterior(older.save(tmp_path / "p.nc"))
    assert loaded.model == kept
    assert "discrepancy_amplitude" not in loaded.sample()


def test_files_without_an_effect_of_the_start_are_read_as_they_were_fitted(small_posterior, tmp_path, monkeypatch):
    monkeypatch.setattr("bayeslr.inference.posterior.FORMAT", 9)
    kept = replace(small_posterior.model, discrepancy=Discrepancy(start=0.0))
    groups = {name: node.to_dataset() for name, node in small_posterior.tree.children.items()}
    groups["effects"] = groups["effects"].drop_vars([name for name in groups["effects"] if "_start" in str(name)])
    described = model_settings(kept)
    del described["discrepancy"]["start"], described["discrepancy"]["peak_start"]
    monkeypatch.setattr("bayeslr.inference.posterior.model_settings", lambda model: described)
    older = replace(small_posterior, tree=xr.DataTree.from_dict(groups), model=kept)
    loaded = load_posterior(older.save(tmp_path / "p.nc"))
    assert loaded.model == kept
    plan = small_posterior.curves.curves[0].schedule
    size = small_posterior.curves.curves[0].params
    before = predict(older, plan, size=size, seed=0).final_loss()
    pd.testing.assert_frame_equal(predict(loaded, plan, size=size, seed=0).final_loss(), before)


@pytest.fixture(scope="module")
def undecided(small_curves):
    """A fit of curves that do not say their weight decay."""
    curves = CurveSet(curves=tuple(replace(curve, weight_decay=None, metadata={}) for curve in small_curves))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit(curves, method="laplace", num_samples=200, seed=0, progress=False)


def test_an_inferred_weight_decay_is_reported_asked_and_kept(undecided, tmp_path):
    assert undecided.draws["weight_decay"].dims == ("chain", "draw")
    assert "weight_decay" in undecided.summary().index
    assert outlook(undecided)[-1].startswith("No run says its weight decay, so that it is inferred")
    loaded = load_posterior(undecided.save(tmp_path / "p.nc"))
    assert loaded.model == undecided.model
    plan = cosine(peak_lr=1e-3, warmup_steps=100, total_steps=4000)
    found = {}
    for decay in (None, 0.1, 0.5):
        asked = {"seed": 0, "weight_decay": decay}
        with warnings.catch_warnings():
            # of the fit, and of weight decays that were not fitted
            warnings.simplefilter("ignore", BayeslrWarning)
            before, after = (predict(one, plan, **asked).final_loss() for one in (undecided, loaded))
        pd.testing.assert_frame_equal(before, after)
        found[decay] = float(before["median"].iloc[0])
    # one that is said is another run than the fitted, and a strong one yet another
    assert abs(found[0.5] - found[0.1]) > 1e-3
    assert abs(found[0.1] - found[None]) < abs(found[0.5] - found[None])


def test_files_without_an_inferred_weight_decay_are_read_as_they_were_fitted(undecided, tmp_path, monkeypatch):
    """There, runs that did not say their weight decay had 0.1, also when one joins."""
    monkeypatch.setattr("bayeslr.inference.posterior.FORMAT", 11)
    kept = replace(undecided.model, law=EffectiveRateLaw(rate=WeightNormRate(weight_decay="given")))
    groups = {
        name: node.to_dataset().drop_vars("weight_decay", errors="ignore") for name, node in undecided.tree.items()
    }
    described = model_settings(kept)
    del described["law"]["rate"]["weight_decay"]
    monkeypatch.setattr("bayeslr.inference.posterior.model_settings", lambda model: described)
    older = replace(undecided, tree=xr.DataTree.from_dict(groups), model=kept)
    loaded = load_posterior(older.save(tmp_path / "p.nc"))
    assert loaded.model == kept
    assert loaded.model.for_curves(loaded.curves.after_warmup()).law == kept.law


def test_files_without_batches_are_read(small_posterior, tmp_path, monkeypatch):
    monkeypatch.setattr("bayeslr.inference.posterior.FORMAT", 4)
    groups = {name: node.to_dataset() for name, node in small_posterior.tree.children.items()}
    groups["constant_data"] = groups["constant_data"].drop_vars("places_batch")
    scale = {k: v for k, v in small_posterior.settings["scale"].items() if not k.startswith("batch")}
    older = replace(
        small_posterior, tree=xr.DataTree.from_dict(groups), settings=small_posterior.settings | {"scale": scale}
    )
    loaded = load_posterior(older.save(tmp_path / "p.nc"))
    assert (loaded.scale.batch, loaded.scale.batches) == (0.0, ())
    assert loaded.places["batch"].shape == (0, 3)
    for found, known in zip(loaded.health.checks, small_posterior.health.checks, strict=True):
        assert found.evidence == known.evidence


def test_unknown_sizes_come_back_unknown(small_posterior, tmp_path):
    curves = type(small_posterior.curves)(
        curves=tuple(
            replace(curve, params=None, size=None, weight_decay=None, metadata={}) for curve in small_posterior.curves
        )
    )
    tree = small_posterior.tree.map_over_datasets(lambda d: d.assign_coords(size=["all"]) if "size" in d.dims else d)
    loaded = load_posterior(replace(small_posterior, tree=tree, curves=curves).save(tmp_path / "p.nc"))
    assert all((curve.params, curve.size, dict(curve.metadata)) == (None, None, {}) for curve in loaded.curves)


def test_an_existing_file_is_kept_unless_forced(small_posterior, saved, tmp_path):
    path = tmp_path / "p.nc"
    path.write_text("precious")
    with pytest.raises(PosteriorError, match=r"^[^\n]*p\.nc: the file exists; allowed: [^\n]*force[^\n]*$"):
        small_posterior.save(path)
    assert path.read_text() == "precious"
    small_posterior.save(path, force=True)
    assert load_posterior(path).sizes == ("small",)
    assert names(tmp_path) == ["p.nc"]


def test_a_missing_folder_is_one_line(small_posterior, tmp_path):
    with pytest.raises(PosteriorError, match=r"^[^\n]*: the folder [^\n]* does not exist; [^\n]*$"):
        small_posterior.save(tmp_path / "nowhere" / "p.nc")


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_not_replaced(small_posterior, tmp_path, force):
    (tmp_path / "p.nc").mkdir()
    with pytest.raises(PosteriorError, match=r"^[^\n]*p\.nc: [^\n]*folder[^\n]*$"):
        small_posterior.save(tmp_path / "p.nc", force=force)
    assert names(tmp_path) == ["p.nc"]


@pytest.mark.parametrize("existing", [None, "precious"])
def test_nothing_is_left_when_writing_fails(tmp_path, existing):
    path = tmp_path / "p.nc"
    if existing:
        path.write_text(existing)

    def broken(target):
        target.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, broken, force=True)
    assert names(tmp_path) == (["p.nc"] if existing else [])
    assert not existing or path.read_text() == existing


def test_a_failing_save_leaves_nothing(small_posterior, tmp_path, monkeypatch):
    write = Path.write_bytes

    def broken(self, content):
        write(self, content[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", broken)
    with pytest.raises(OSError, match=r"No space left on device: '[^']*/p\.nc'"):
        small_posterior.save(tmp_path / "p.nc")
    assert names(tmp_path) == []


def test_files_are_as_readable_as_others(saved, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    assert saved.stat().st_mode == plain.stat().st_mode


def doctored(saved, folder, change):
    path = folder / "doctored.nc"
    path.write_bytes(saved.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    # as somebody who means it would; without a seal no change is looked at
    path.write_bytes(sealed(path.read_bytes()))
    return path


def forget(name):
    def change(file):
        del file[name]

    return change


def set_attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def alter_loss(file):
    file["curves/loss"][0] += 0.01


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_attribute("bayeslr_format", 99), "format 99; allowed: 2 to 12"),
        (set_attribute("bayeslr_format", "new"), "damaged|format"),
        (alter_loss, "checksum"),
        (forget("curves"), "damaged|curves"),
        (forget("curves/rate_differences"), "damaged|rate"),
        (forget("posterior"), "damaged|posterior"),
        (forget("constant_data"), "the places of bend, ahead, peak, batch are missing"),
        (set_attribute("model", "{"), "damaged"),
        (set_attribute("model", "{}"), "damaged"),
        (set_attribute("settings", "nonsense"), "damaged"),
    ],
    ids=[
        "newer",
        "odd-format",
        "altered",
        "no-curves",
        "no-rates",
        "no-draws",
        "no-places",
        "bad-json",
        "no-law",
        "bad-settings",
    ],
)
def test_damage_is_one_line(saved, tmp_path, change, says):
    path = doctored(saved, tmp_path, change)
    with pytest.raises(PosteriorError, match=LINE) as caught:
        load_posterior(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert any(part in str(caught.value) for part in says.split("|"))


def test_what_is_no_posterior_is_one_line(tmp_path, saved):
    text, empty, foreign, cut = (tmp_path / name for name in ("log.csv", "empty.nc", "foreign.nc", "cut.nc"))
    text.write_text("step,loss\n1,2.0\n")
    empty.write_bytes(b"")
    xr.Dataset({"x": ("t", np.arange(3))}).to_netcdf(foreign, engine="h5netcdf")
    cut.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
    for path in (text, empty, foreign, cut, tmp_path / "missing.nc", tmp_path):
        with pytest.raises(PosteriorError, match=LINE) as caught:
            load_posterior(path)
        assert str(caught.value).startswith(f"{path}: ")
