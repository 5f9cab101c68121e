"""The discrepancy: what its shapes may be, and the plain law without it."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayeslr.curves import CurveSet, LossCurve
from bayeslr.errors import ModelError
from bayeslr.laws import AnnealingLaw, Terms
from bayeslr.model import MEMORIES, Block, Discrepancy, Exposure, NoDiscrepancy, Noise, ScalingModel, find_blocks
from bayeslr.model.likelihood import log_density
from bayeslr.model.walk import reached
from bayeslr.schedules import constant


def values_of(model, sizes, noise):
    """The law's parameters of each size near the truth, and what all sizes share at its prior medians."""
    ones = jnp.ones(sizes)
    values = {"level": 2.65 * ones, "slope": 0.13 * ones, "alpha": 0.5 * ones, "drop": 0.12 * ones, "tau": 40.0 * ones}
    shared = {parameter.name: parameter for parameter in model.law.parameters if parameter.shared} | model.scales
    scales = {site: jnp.asarray(parameter.prior.center) for site, parameter in shared.items()}
    power = {} if model.noise.power is None else {"noise_power": jnp.asarray(model.noise.power)}
    return values | scales | power | {"noise": noise * ones}


def structure_of(model, curves, *, noise=0.002):
    observations, _ = model.observations(curves, model.scale(curves))
    values = values_of(model, observations.log_params.size, noise)
    return model.structure(observations, values), observations, values


def blocks_of(model, observations):
    first = jax.tree.map(lambda leaf: leaf[0], observations.inputs)
    return {block.name: block for block in find_blocks(model.composition, model.sites, first, observations.places)}


def test_disabled_is_the_law_and_white_noise(make_curves):
    curves = make_curves(noise=0.001)
    model = ScalingModel(law=AnnealingLaw(), discrepancy=NoDiscrepancy(), noise=Noise(power=None))
    structure, observations, values = structure_of(model, curves)
    assert structure.run_shapes.shape[1] == structure.shared_shapes.shape[1] == structure.exchange.size == 0
    expected = 0.0
    scale = {name: float(np.max(value)) for name, value in observations.scale.items()}
    law = {name: float(value[0]) for name, value in model.law.reported(values, scale).items()}
    for curve in curves:
        mean = model.law.loss(curve.schedule, curve.steps, **law)
        expected += stats.norm(mean, 0.002).logpdf(curve.loss).sum()
    assert float(log_density(structure, observations.loss)) == pytest.approx(expected, abs=1e-3)
    assert model.scales == {}
    assert blocks_of(model, observations) == {}


def test_errors_do_not_depend_on_where_the_laws_parameters_are_taken(make_curves):
    """The same curve by level and slope at another area has the same mean, and errors of the same size."""
    curves, model = make_curves(noise=0.001), ScalingModel(law=AnnealingLaw())
    _, observations, values = structure_of(model, curves)
    scale, away = model.scale(curves), np.log(0.6)
    moved = replace(scale, level_areas=(float(np.exp(away)) * scale.areas[0],))
    ratio = jnp.exp(-values["alpha"] * away)
    level = values["level"] + values["slope"] / values["alpha"] * (ratio - 1.0)
    there = values | {"level": level, "slope": values["slope"] * ratio}
    here = model.structure(observations, values)
    other = model.structure(model.observations(curves, moved)[0], there)
    for name in ("mean", "sd", "run_scale", "shared_scale", "run_shapes", "shared_shapes"):
        np.testing.assert_allclose(getattr(other, name), getattr(here, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_enabled_shapes_are_finite_and_vanish_where_nothing_was_annealed(make_curves):
    structure, observations, _ = structure_of(ScalingModel(), make_curves(noise=0.001))
    correlation = np.asarray(structure.autocorrelation)
    for array in (structure.mean, structure.sd, correlation, structure.run_shapes, structure.shared_shapes):
        assert np.all(np.isfinite(array))
    assert np.all(np.asarray(structure.run_scale) > 0.0)
    # a bend at the reference area itself has faded away, every other effect has a size
    assert (np.asarray(structure.shared_scale) == 0.0).sum() == structure.shared_scale.shape[0]
    assert np.all(np.asarray(structure.sd) > 0.0)
    assert np.all((correlation >= 0.0) & (correlation < 1.0))
    assert np.all(correlation[:, 0] == 0.0)
    # the first run keeps its rate: effects of the annealing are zero there, and its own effect is its offset alone
    memories = len(blocks_of(ScalingModel(), observations)["memory"].labels)
    assert memories == len(MEMORIES)
    np.testing.assert_allclose(structure.shared_shapes[0, :memories], 0.0, atol=1e-12)
    np.testing.assert_allclose(structure.run_shapes[0, :-1], 0.0, atol=1e-12)
    np.testing.assert_array_equal(structure.run_shapes[:, -1], 1.0)
    np.testing.assert_allclose(structure.run_scale[:, -1], structure.run_scale[0, -1])


def test_blocks_count_the_shapes_and_none_takes(make_curves):
    structure, observations, _ = structure_of(ScalingModel(), make_curves(noise=0.001))
    blocks = blocks_of(ScalingModel(), observations)
    assert {name: block.level for name, block in blocks.items()} == {
        **dict.fromkeys(("memory", "curvature", "drift", "bend", "early", "start"), "size"),
        **dict.fromkeys(("peak_level", "peak_slope", "peak_drop", "peak_start", "ahead"), "size"),
        **dict.fromkeys(("batch_level", "batch_slope", "batch_drop", "batch_start"), "size"),
        **dict.fromkeys(("run_memory", "offset"), "run"),
    }
    # six products of three memories, three with the log area, two that the warm-up leaves and two that the start does;
    # of one peak and batch none
    count = len(blocks["memory"].labels) + 6 + 3 + 2 + 2 + observations.places["bend"].shape[0]
    assert count == structure.shared_shapes.shape[1]
    assert len(blocks["run_memory"].labels) + 1 == structure.run_shapes.shape[1]
    for block in blocks.values():
        assert block.basis.shape == (block.sd.shape[0], observations.loss.shape[1])
        assert block.labels is None or len(block.labels) == block.sd.shape[0]
    np.testing.assert_array_equal(structure.exchange, 0.0)


def test_effects_of_a_run_cannot_take():
    with pytest.raises(ModelError, match=r"^block 'own': takes=0.5; allowed: 0 for effects of a run$"):
        Block(name="own", level="run", basis=jnp.ones((1, 3)), sd=jnp.ones(1), takes=0.5)


def bends(scale, log_area, knots):
    """Shapes times standard deviations of the bends of a power law of slope 0.13 and exponent 0.5, ``[n, K]``."""
    discrepancy, n = Discrepancy(), log_area.size
    scales = {p.name: jnp.asarray(p.prior.center) for p in discrepancy.parameters}
    scales |= {"bend": jnp.asarray(scale), "noise": jnp.asarray(0.002)}

    def slope(place):
        return 0.13 * jnp.exp(-0.5 * place)

    terms = terms_of(log_area)
    exposure = exposure_of(log_area, jnp.zeros(n))
    places = {"bend": knots, "ahead": jnp.zeros(0), "peak": jnp.zeros((0, 3)), "batch": jnp.zeros((0, 3))}
    (block,) = [b for b in discrepancy.blocks(scales, terms, exposure, places, slope) if b.name == "bend"]
    return (np.asarray(block.sd)[:, None] * np.asarray(block.basis)).T


def exposure_of(log_area, removed, *, log_warmup=-5.0, log_peak=0.0, log_batch=0.0):
    return Exposure(
        log_area=log_area,
        log_level_area=jnp.zeros(()),
        log_warmup=jnp.asarray(log_warmup),
        log_peak=jnp.asarray(log_peak),
        log_batch=jnp.asarray(log_batch),
        memory=jnp.zeros((8, log_area.size)),
        removed=removed,
        rate=1.0 - removed,
        start=jnp.zeros((2, log_area.size)),
    )


def terms_of(log_area):
    slope = 0.13 * jnp.exp(-0.5 * log_area)
    response = jnp.zeros_like(log_area)
    return Terms(base=jnp.array(2.5), forward=2.0 * slope, drop=jnp.array(0.12), response=response, slope=slope)


def test_bends_leave_the_reference_area_alone_and_open_away_from_it():
    log_area = jnp.linspace(-3.0, 1.0, 81)
    knots = jnp.array([-0.01, -0.26, -1.51, 0.26, 0.76])
    columns = bends(Discrepancy().bend, log_area, knots)
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
    tight = bends(50.0, log_area, knots)
    slope = 0.13 * np.exp(-0.5 * np.asarray(knots))
    assert np.all(np.abs(np.diff(tight, axis=0)).max(0) / 0.05 <= 0.5 * slope + 1e-9)


def test_knots_reach_from_the_first_observation_to_the_furthest_question():
    fitted = Discrepancy().places(-2.9, np.zeros(2), np.zeros(2))
    assert fitted["bend"][0] == 0.0
    np.testing.assert_allclose(np.diff(fitted["bend"]), -0.5)
    assert fitted["bend"][-1] <= -2.5
    asked = Discrepancy().places_ahead(fitted, 1.1, np.zeros(1), np.zeros(1))
    np.testing.assert_allclose(asked["bend"], [*fitted["bend"], 0.5, 1.0])
    assert asked["ahead"].size == 1
    assert Discrepancy().places_ahead(fitted, -0.5, np.zeros(1), np.zeros(1))["ahead"].size == 0
    assert NoDiscrepancy().places(-2.9, np.zeros(2), np.zeros(2)) == {}


def test_a_peak_has_a_random_walk_of_its_own():
    """Its covariance is that of Brownian motion on both sides of the reference, refined where a forecast asks."""
    fitted = Discrepancy().places(-2.9, np.array([0.0, 0.7, -0.4, 0.701]), np.zeros(4))
    asked = Discrepancy().places_ahead(fitted, 0.0, np.array([0.3, 1.2, -0.9]), np.zeros(1))
    np.testing.assert_array_equal(asked["peak"][: len(fitted["peak"])], fitted["peak"])
    places = np.array([0.7, -0.4, 0.3, 1.2, -0.9, 0.0])
    rows = np.stack([np.asarray(reached(jnp.asarray(place), jnp.asarray(asked["peak"]))) for place in places])
    same = np.sign(places[:, None]) * np.sign(places[None]) > 0.0
    expected = np.where(same, np.minimum(np.abs(places[:, None]), np.abs(places[None])), 0.0)
    np.testing.assert_allclose(rows @ rows.T, expected, atol=2e-3)
    # where nothing was refined, a peak between two fitted ones would be too sure of itself
    coarse = np.asarray(reached(jnp.asarray(0.3), jnp.asarray(fitted["peak"])))
    assert coarse @ coarse < 0.3 - 0.05


def test_residuals_form_an_ornstein_uhlenbeck_process_plus_noise(make_curves):
    model = ScalingModel()
    noise = 0.002
    structure, observations, values = structure_of(model, make_curves(noise=0.001), noise=noise)
    scales = {p.name: jnp.asarray(p.prior.center) for p in model.discrepancy.parameters}

    def process_of(inputs):
        of_size = {name: value[0] if jnp.ndim(value) else value for name, value in values.items()}
        terms = model.law.terms(of_size, inputs.features)
        return model.discrepancy.residual_sd(scales, terms, inputs.exposure)

    process = np.asarray(jax.vmap(process_of)(observations.inputs))
    white = noise * np.maximum(observations.inputs.exposure.rate, 0.05) ** model.noise.power
    np.testing.assert_allclose(structure.sd, np.hypot(process, white), rtol=1e-12)
    sd, x = np.asarray(structure.sd), np.asarray(observations.inputs.exposure.log_area)
    adjacent = sd[:, 1:] * sd[:, :-1] * np.asarray(structure.autocorrelation)[:, 1:]
    correlation = np.exp(-np.diff(x, axis=1) / model.discrepancy.residual_length)
    np.testing.assert_allclose(adjacent, process[:, 1:] * process[:, :-1] * correlation, rtol=1e-10)


def test_the_residual_grows_with_slope_and_with_what_was_annealed():
    log_area, removed = jnp.array([-1.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 1.0])
    terms = terms_of(log_area)
    exposure = exposure_of(log_area, removed)
    sd = jax.jit(Discrepancy().residual_sd)
    one = jnp.ones(())
    base = sd({"residual": jnp.array(0.02), "amplitude": one}, terms, exposure)
    assert base[0] > base[1]
    assert base[2] > base[1]
    assert float(base[1]) == pytest.approx(0.02 * 0.13 * (1.0 + 2.0 * np.exp(-4.0)), rel=1e-9)
    np.testing.assert_allclose(sd({"residual": jnp.array(0.04), "amplitude": one}, terms, exposure), 2.0 * base)


def test_errors_of_the_annealing_and_the_residual_have_an_amplitude_in_common(make_curves):
    """All others keep their size: what a fit says of the residual says nothing of rates and horizons beyond it."""
    curves, model = make_curves(noise=0.001), ScalingModel()
    structure, observations, values = structure_of(model, curves)
    larger = model.structure(observations, values | {"discrepancy_amplitude": jnp.asarray(3.0)})
    blocks = list(blocks_of(model, observations).values())
    for level, name in (("size", "shared_scale"), ("run", "run_scale")):
        of_level = [block for block in blocks if block.level == level]
        moved = np.repeat(
            [block.name in ("memory", "curvature", "drift", "run_memory") for block in of_level],
            [block.sd.shape[0] for block in of_level],
        )
        was, now = np.asarray(getattr(structure, name)), np.asarray(getattr(larger, name))
        np.testing.assert_allclose(now, was * np.where(moved, 3.0, 1.0), rtol=1e-12)
        assert moved.any()
        assert not moved.all()
    white = np.asarray(model.structure(observations, values | {"discrepancy_amplitude": jnp.asarray(0.0)}).sd)
    residual = [np.asarray(one.sd) ** 2 - white**2 for one in (structure, larger)]
    np.testing.assert_allclose(residual[1], 9.0 * residual[0], rtol=1e-9)


NOT_POSITIVE = ("common", "amplitude_spread", "start")


@pytest.mark.parametrize("name", [field.name for field in fields(Discrepancy) if field.name not in NOT_POSITIVE])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_wrong_settings_are_one_line(name, value):
    with pytest.raises(ModelError, match=rf"^discrepancy: {name}=[^\n]*; allowed: above 0[^\n]*$"):
        Discrepancy(**{name: value})


@pytest.mark.parametrize("name", ["amplitude_spread", "start"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_what_may_be_zero_may_not_be_less(name, value):
    with pytest.raises(ModelError, match=rf"^discrepancy: {name}=[^\n]*; allowed: 0 or more$"):
        Discrepancy(**{name: value})


def test_what_the_random_start_leaves_dies_away_with_the_updates_at_any_rate():
    """Against the formula, for two runs at rates that differ by four: steps count, the area does not."""
    peaks, steps = (4e-4, 1e-4), np.array([20, 60, 100, 400, 1600])
    schedules = [constant(peak_lr=peak, warmup_steps=10, total_steps=2500) for peak in peaks]
    runs = CurveSet(
        curves=tuple(
            LossCurve(name=str(s.peak_lr), schedule=s, steps=np.append(steps, 2500), loss=np.linspace(4.0, 3.0, 6))
            for s in schedules
        )
    )
    model = ScalingModel()
    observations, _ = model.observations(runs, model.scale(runs))
    inputs = observations.inputs.exposure
    expected = 3.0 * np.exp(-steps / np.array([[25.0], [50.0]]))
    for run in range(2):
        np.testing.assert_allclose(np.asarray(inputs.start)[run, :, :5], expected, rtol=1e-12)
    scales = {p.name: jnp.asarray(p.prior.center) for p in Discrepancy().parameters} | {"noise": jnp.asarray(1e-3)}

    def blocks(discrepancy, run):
        exposure = jax.tree.map(lambda leaf: leaf[run], inputs)
        terms = terms_of(exposure.log_area)
        made = discrepancy.blocks(scales, terms, exposure, observations.places, lambda place: 0.1 + 0.0 * place)
        return {block.name: block for block in made}

    for run, reached_by in enumerate((0.0, np.log(4.0) ** 0.5)):
        found = blocks(Discrepancy(start=2.0, peak_start=0.25), run)
        np.testing.assert_allclose(found["start"].sd, 2.0)
        np.testing.assert_allclose(found["start"].basis[:, :5], expected, rtol=1e-12)
        own = np.asarray(found["peak_start"].sd[:, None] * found["peak_start"].basis)[:, :5]
        # the walk is a bridge to a place far away
        np.testing.assert_allclose(own, 0.5 * reached_by * expected.mean(axis=0)[None], rtol=1e-3)
        assert not {"start", "peak_start"} & set(blocks(Discrepancy(start=0.0), run))


def test_the_random_start_is_left_out_where_nobody_saw_it():
    assert ScalingModel().resolved((1e7,), single_losses=True).discrepancy.start == 0.0
    assert ScalingModel().resolved((1e7,)).discrepancy.start == Discrepancy().start > 0.0


def test_the_amplitude_is_kept_where_no_curve_tells_it():
    """Unless the user gives it a prior; a kept one is the same model as one that is inferred at that value."""
    site = "discrepancy_amplitude"
    single = ScalingModel().resolved((1e7,), single_losses=True)
    assert site not in single.sites
    assert site in ScalingModel().resolved((1e7,)).sites
    assert site in ScalingModel(priors={site: "LogNormal(0, 0.2)"}).resolved((1e7,), single_losses=True).sites
    log_area = jnp.linspace(-2.0, 0.0, 3)
    exposure = exposure_of(log_area, jnp.linspace(0.0, 1.0, 3))
    scales = {p.name: jnp.asarray(p.prior.center) for p in Discrepancy().parameters}
    kept = {name: value for name, value in scales.items() if name != "amplitude"}
    fixed = Discrepancy(amplitude=2.5, amplitude_spread=0.0).residual_sd(kept, terms_of(log_area), exposure)
    scales["amplitude"] = jnp.asarray(2.5)
    np.testing.assert_allclose(fixed, Discrepancy().residual_sd(scales, terms_of(log_area), exposure), rtol=1e-12)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_a_wrong_share_in_common_is_one_line(value):
    with pytest.raises(ModelError, match=r"^discrepancy: common=[^\n]*; allowed: from 0 up to, not including, 1$"):
        Discrepancy(common=value)


def test_runs_differ_by_what_the_loss_jitters_by_up_to_a_share_of_the_slope():
    discrepancy, slope = Discrepancy(offset=2.0), 0.13
    log_area = jnp.linspace(-2.0, 0.0, 3)
    places = {"bend": jnp.zeros(0), "ahead": jnp.zeros(0), "peak": jnp.zeros((0, 3)), "batch": jnp.zeros((0, 3))}
    found = []
    for noise in (1e-4, 10.0):
        scales = {p.name: jnp.asarray(p.prior.center) for p in discrepancy.parameters} | {"noise": jnp.asarray(noise)}
        blocks = discrepancy.blocks(
            scales, terms_of(log_area), exposure_of(log_area, jnp.zeros(3)), places, lambda place: slope + 0.0 * place
        )
        found.append(float(*(block.sd[0] for block in blocks if block.name == "offset")))
    np.testing.assert_allclose(found, [2.0 * 1e-4, 0.1 * slope], rtol=1e-3)


def test_batches_have_effects_of_their_own_as_peaks_do(make_curves):
    """Three runs, one with half the batch: its effects stand on its batch's place as those of a peak on its peak's."""
    curves = make_curves(noise=0.001)
    halved = CurveSet(
        curves=tuple(replace(c, batch_size=32.0 if c.name.startswith("cosine") else 64.0) for c in curves)
    )
    structure, observations, _ = structure_of(ScalingModel(), halved)
    blocks = blocks_of(ScalingModel(), observations)
    assert {name: block.sd.shape for name, block in blocks.items() if name.startswith("batch_")} == dict.fromkeys(
        ("batch_level", "batch_slope", "batch_drop", "batch_start"), (1,)
    )
    first = structure.shared_shapes.shape[1] - 4
    levels = dict(zip(curves.names, np.asarray(structure.shared_shapes[:, first, 0]), strict=True))
    # a random walk in the logarithm of the batch: its standard deviation is the root of the distance
    expected = {name: np.log(2.0) ** 0.5 * name.startswith("cosine") for name in levels}
    assert levels == pytest.approx(expected, rel=1e-3)
