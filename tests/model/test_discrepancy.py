"""The discrepancy: what its shapes may be, and the plain law without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayeslr.errors import ModelError
from bayeslr.model import Discrepancy, ScalingModel
from bayeslr.model.discrepancy import SCALES
from bayeslr.model.likelihood import log_density


def structure_of(model, curves, *, noise=0.002):
    scale = model.scale(curves)
    design, _ = model.observations(curves, scale)
    ones = jnp.ones(design.log_params.shape)
    values = {"level": 2.65 * ones, "slope": 0.13 * ones, "alpha": 0.5 * ones, "drop": 0.12 * ones, "tau": 40.0 * ones}
    settings = model.discrepancy.settings()
    scales = {f"discrepancy_{name}": jnp.asarray(settings[name]) for name in SCALES if model.discrepancy.enabled}
    sites = values | scales | {"noise": noise * ones}
    return model.structure(design, sites), design, values


def test_disabled_is_the_law_and_white_noise(make_curves):
    curves = make_curves(noise=0.001)
    model = ScalingModel(discrepancy=NoDiscrepancy())
    structure, design, values = structure_of(model, curves)
    assert structure.run_shapes.shape[1] == structure.shared_shapes.shape[1] == structure.exchange.size == 0
    expected = 0.0
    scale = {name: float(value) for name, value in design.scale.items()}
    law = {name: float(value[0]) for name, value in model.law.reported(values, scale).items()}
    for curve in curves:
        mean = model.law.loss(curve.schedule, curve.steps, **law)
        expected += stats.norm(mean, 0.002).logpdf(curve.loss).sum()
    assert float(log_density(structure, design.loss)) == pytest.approx(expected, abs=1e-3)
    assert model.discrepancy.sample_scales({}) == {}


def test_enabled_shapes_are_finite_and_vanish_where_nothing_was_annealed(make_curves):
    structure, design, _ = structure_of(ScalingModel(), make_curves(noise=0.001))
    for array in (structure.mean, structure.sd, structure.link, structure.run_shapes, structure.shared_shapes):
        assert np.all(np.isfinite(array))
    for array in (structure.run_scale, structure.shared_scale):
        assert np.all(np.asarray(array) > 0.0)
    assert np.all(np.asarray(structure.sd) > 0.0)
    assert np.all((np.asarray(structure.link) >= 0.0) & (np.asarray(structure.link) < 1.0))
    assert np.all(np.asarray(structure.link[:, 0]) == 0.0)
    # the first run keeps its rate: effects of the annealing are zero there, and its own effect is its offset alone
    labels = ScalingModel().discrepancy.labels(design.knots.shape[0])
    memories = len(labels["memory"])
    np.testing.assert_allclose(structure.shared_shapes[0, :memories], 0.0, atol=1e-12)
    np.testing.assert_allclose(structure.response[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(structure.run_shapes[0, :-1], 0.0, atol=1e-12)
    np.testing.assert_array_equal(structure.run_shapes[:, -1], 1.0)
    np.testing.assert_allclose(structure.run_scale[:, -1], structure.run_scale[0, -1])


def test_labels_count_the_shapes(make_curves):
    structure, design, _ = structure_of(ScalingModel(), make_curves(noise=0.001))
    labels = ScalingModel().discrepancy.labels(design.knots.shape[0])
    assert len(labels["memory"]) + len(labels["bend"]) == structure.shared_shapes.shape[1]
    assert len(labels["run_memory"]) + 1 == structure.run_shapes.shape[1]


def test_bends_leave_the_reference_area_alone_and_open_away_from_it(make_curves):
    discrepancy = Discrepancy()
    values = {"alpha": jnp.array(0.5), "slope": jnp.array(0.13)}
    scales = {"bend": jnp.array(discrepancy.bend)}
    log_area = jnp.linspace(-3.0, 1.0, 81)
    knots = jnp.array([0.0, -0.26, -1.51, 0.26, 0.76])
    scale = discrepancy.bend_scale(scales, values, knots)
    columns = (np.asarray(scale)[:, None] * np.asarray(discrepancy.bend_shapes(log_area, knots))).T
    assert columns.shape == (81, 5)
    assert np.all(columns >= 0.0)
    at_reference = int(np.argmin(np.abs(np.asarray(log_area))))
    np.testing.assert_allclose(columns[at_reference], 0.0, atol=1e-12)
    behind, ahead = columns[:, :3], columns[:, 3:]
    assert np.all(np.diff(behind, axis=0) <= 1e-15)
    assert np.all(np.diff(ahead, axis=0) >= -1e-15)
    # each bend starts at its knot, and none bends the curve by more than half of its own slope there
    for k, knot in enumerate(np.asarray(knots)):
        away = np.asarray(log_area) - knot if knot > 0.0 else knot - np.asarray(log_area)
        np.testing.assert_array_equal(columns[:, k] > 1e-12, away > 1e-9)
    scale = discrepancy.bend_scale({"bend": jnp.array(50.0)}, values, knots)
    tight = (np.asarray(scale)[:, None] * np.asarray(discrepancy.bend_shapes(log_area, knots))).T
    slope = 0.13 * np.exp(-0.5 * np.asarray(knots))
    assert np.all(np.abs(np.diff(tight, axis=0)).max(0) / 0.05 <= 0.5 * slope + 1e-9)


def test_residuals_form_an_ornstein_uhlenbeck_process_plus_noise(make_curves):
    model = ScalingModel()
    noise = 0.002
    structure, design, values = structure_of(model, make_curves(noise=0.001), noise=noise)
    scales = {name: jnp.asarray(value) for name, value in model.discrepancy.settings().items() if name in SCALES}
    of_run = {name: value[design.size_of_run] for name, value in values.items()}
    process = np.asarray(model.discrepancy.residual_sd(scales, of_run, design.log_area, design.removed))
    np.testing.assert_allclose(structure.sd, np.hypot(process, noise), rtol=1e-12)
    sd, x = np.asarray(structure.sd), np.asarray(design.log_area)
    adjacent = sd[:, 1:] * sd[:, :-1] * np.asarray(structure.link)[:, 1:]
    correlation = np.exp(-np.diff(x, axis=1) / model.discrepancy.residual_length)
    np.testing.assert_allclose(adjacent, process[:, 1:] * process[:, :-1] * correlation, rtol=1e-10)


def test_the_residual_grows_with_slope_and_with_what_was_annealed():
    values = {name: jnp.array(value) for name, value in {"alpha": 0.5, "slope": 0.13, "drop": 0.12}.items()}
    sd = jax.jit(Discrepancy().residual_sd)
    base = sd({"residual": jnp.array(0.02)}, values, jnp.array([-1.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 1.0]))
    assert base[0] > base[1]
    assert base[2] > base[1]
    assert float(base[1]) == pytest.approx(0.02 * 0.13, rel=1e-9)
    np.testing.assert_allclose(
        sd({"residual": jnp.array(0.04)}, values, jnp.array([-1.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 1.0])), 2.0 * base
    )


@pytest.mark.parametrize("name", [n for n in Discrepancy().settings() if n not in ("enabled", "common")])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_wrong_settings_are_one_line(name, value):
    with pytest.raises(ModelError, match=rf"^discrepancy: {name}=[^\n]*; allowed: (above 0|between 0 and 1)[^\n]*$"):
        Discrepancy(**{name: value})


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_a_wrong_share_in_common_is_one_line(value):
    with pytest.raises(ModelError, match=r"^discrepancy: common=[^\n]*; allowed: from 0 up to, not including, 1$"):
        Discrepancy(common=value)
