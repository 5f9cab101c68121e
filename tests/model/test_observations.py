"""The arrays of a fit: padding, shared prefixes, and a cost that does not depend on the number of steps."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.handlers import block, substitute
from numpyro.infer.util import log_density

from bayeslr.curves import CurveSet, LossCurve, Sizes
from bayeslr.errors import ModelError
from bayeslr.inference.engine.density import build_density, starting_points
from bayeslr.model import ScalingModel
from bayeslr.model.likelihood import log_density as loss_density
from bayeslr.schedules import constant, cosine, wsd

MODEL = ScalingModel().resolved((1e7,))


def observations_of(curves):
    return MODEL.observations(curves, MODEL.scale(curves))


def values_for(scale):
    return {
        "level": jnp.array([1.01 * scale.loss]),
        "slope": jnp.array([0.05 * scale.loss]),
        "alpha": jnp.array([0.5]),
        "drop": jnp.array([0.05 * scale.loss]),
        "tau": jnp.array([40.0]),
        "noise": jnp.array([0.001 * scale.loss]),
    }


def density(observations, values):
    return float(compiled(observations, values))


@jax.jit
def compiled(observations, values):
    return log_density(numpyro_seeded(values), (observations,), {}, values)[0]


def numpyro_seeded(values):
    """The model with what all sizes share at its prior medians, whatever it is called."""
    shared = {parameter.name: parameter for parameter in MODEL.law.parameters if parameter.shared} | MODEL.scales
    scales = {site: jnp.asarray(parameter.prior.center) for site, parameter in shared.items()}
    scales["noise_power"] = jnp.asarray(MODEL.noise.power)
    return block(substitute(MODEL, scales), hide_fn=lambda site: site["name"] in scales)


def test_compressed_features_have_the_same_density(make_curves, monkeypatch):
    """Of two sizes, so that what a law prepares differs from run to run."""
    curves = make_curves(sizes=(1e7, 4e7), noise=0.001)
    model = ScalingModel().resolved(Sizes.of(curves).params)
    scale, found = model.scale(curves), []
    for least in (10**9, 0):
        monkeypatch.setattr("bayeslr.laws.effective._MANY", least)
        observations, _ = model.observations(curves, scale)
        whole = build_density(model, observations)
        start = whole.unconstrain(starting_points(model, observations)[1], observations)
        found.append((bool(observations.of_law), *whole.value_and_gradient(start, observations)))
    assert [row[0] for row in found] == [False, True]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-8)
    np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-7 * np.abs(found[0][2]).max())


@pytest.fixture(scope="module")
def uneven(make_curves):
    """Three runs of which two are cut, so that their rows are padded."""
    full = make_curves(noise=0.001)
    short = [full.curves[0], full.curves[1].take(np.arange(24) < 9), full.curves[2].take(np.arange(24) % 2 == 0)]
    return CurveSet(curves=tuple(short))


def test_padding_has_no_influence(uneven):
    """Whatever stands in padded places, and however many there are, the density is the same."""
    observations, _ = observations_of(uneven)
    values = values_for(MODEL.scale(uneven))
    expected = density(observations, values)
    valid, rng = np.asarray(observations.valid), np.random.default_rng(0)
    assert valid.sum() == 24 + 9 + 12

    def by_observation(change):
        """Change the arrays along their axis of observations: the last in what is kept by memory, else axis 1."""

        def leaf(path, array):
            if path[-1].name in ("log_peak", "log_batch", "log_warmup", "log_level_area"):  # of the run
                return array
            axis = 2 if path[-1].name in ("memory", "start") else 1
            return jnp.asarray(np.moveaxis(change(np.moveaxis(np.asarray(array), axis, 1)), 1, axis))

        inputs = jax.tree_util.tree_map_with_path(leaf, observations.inputs)
        return replace(observations, loss=jnp.asarray(change(np.asarray(observations.loss))), inputs=inputs)

    def spoiled(array):
        return np.where(
            valid.reshape(valid.shape + (1,) * (array.ndim - 2)), array, rng.uniform(-0.9, 0.9, array.shape)
        )

    def wider(array):
        return np.concatenate([array, array[:, -1:], array[:, -1:]], axis=1)

    assert len(jax.tree.leaves(observations.inputs)) == 13
    assert density(by_observation(spoiled), values) == pytest.approx(expected, abs=1e-8)
    more = jnp.concatenate([observations.valid, jnp.zeros((3, 2), dtype=bool)], axis=1)
    assert density(replace(by_observation(wider), valid=more), values) == pytest.approx(expected, abs=1e-8)


def test_the_order_of_runs_does_not_matter(uneven):
    values = values_for(MODEL.scale(uneven))
    backwards = CurveSet(curves=uneven.curves[::-1])
    one, two = (density(observations_of(curves)[0], values) for curves in (uneven, backwards))
    assert one == pytest.approx(two, abs=1e-8)


def test_dropping_an_observation_does_matter(uneven):
    """A control for the two tests above."""
    values = values_for(MODEL.scale(uneven))
    observations, _ = observations_of(uneven)
    fewer = replace(observations, valid=observations.valid.at[0, 23].set(False))
    assert abs(density(observations, values) - density(fewer, values)) > 0.1


def branches():
    """A constant run and two cool-downs that branch off it, their common history in all three."""
    plans = {
        "trunk": constant(peak_lr=1e-3, warmup_steps=100, total_steps=2000),
        "early": wsd(peak_lr=1e-3, final_lr=0.0, warmup_steps=100, decay_steps=200, total_steps=1200),
        "late": wsd(peak_lr=1e-3, final_lr=0.0, warmup_steps=100, decay_steps=400, total_steps=1900),
    }
    rng = np.random.default_rng(0)
    trunk = 3.0 + 0.01 * rng.standard_normal(2001)
    curves = []
    for name, plan in plans.items():
        steps = np.arange(150, plan.total_steps + 1, 50)
        parted = plan.total_steps - {"trunk": 0, "early": 200, "late": 400}[name]
        loss = np.where(steps <= parted, trunk[steps], 2.9 + 0.01 * rng.standard_normal(steps.size))
        curves.append(LossCurve(name=name, steps=steps, loss=loss, schedule=plan, params=1e7, size="10M"))
    return CurveSet(curves=tuple(curves))


def test_a_shared_prefix_is_counted_once():
    curves = branches()
    observations, runs = observations_of(curves)
    distinct = {(int(s), float(v)) for curve in curves for s, v in zip(curve.steps, curve.loss, strict=True)}
    assert int(observations.valid.sum()) == len(distinct) < sum(len(curve) for curve in curves)
    assert runs == curves.names
    doubled, names = observations_of(CurveSet(curves=(*curves.curves, replace(curves["late"], name="copy"))))
    assert names == runs
    for field in fields(observations):
        jax.tree.map(np.testing.assert_array_equal, getattr(doubled, field.name), getattr(observations, field.name))


def test_arrays_do_not_grow_with_the_number_of_steps(make_curves):
    short, long = (observations_of(make_curves(horizon=horizon))[0] for horizon in (2_000, 200_000))
    assert [leaf.shape for leaf in jax.tree.leaves(short)] == [leaf.shape for leaf in jax.tree.leaves(long)]


def test_the_scale_is_that_of_the_observed_part(make_curves):
    curves = make_curves(horizon=2000)
    scale = MODEL.scale(curves.until(1000))
    last = max(curve.steps[curve.steps <= 1000][-1] for curve in curves)
    assert scale.memory == pytest.approx(last**0.5)
    assert scale.loss == min(curve.loss[curve.steps <= 1000].min() for curve in curves)
    assert scale.rate == pytest.approx(1e-3)
    assert scale.area == pytest.approx(float(curves["constant-10M"].schedule.lr[:last].sum()))


def uneven_family(make_curves, **settings):
    """Three sizes of which the middle one was trained longest, and at the highest rate."""
    trained = {1e7: (2000, 1e-3), 4e7: (6000, 2e-3), 1.6e8: (3000, 1e-3)}
    parts = [make_curves(sizes=(size,), horizon=n, peak_lr=lr, **settings) for size, (n, lr) in trained.items()]
    return CurveSet(curves=tuple(curve for part in parts for curve in part))


def test_parameters_of_sizes_are_taken_where_area_and_rate_are_powers_of_the_size(make_curves):
    """Against NumPy's straight line through the sizes' own areas and rates; error models keep these."""
    curves = uneven_family(make_curves)
    scale, x = MODEL.scale(curves), np.log([1e7, 4e7, 1.6e8])
    assert scale.areas[1] > scale.areas[2] > scale.areas[0]
    for own, level in ((scale.areas, scale.level_areas), (scale.rates, scale.level_rates)):
        np.testing.assert_allclose(np.log(level), np.polyval(np.polyfit(x, np.log(own), 1), x), rtol=1e-12)
    middle = scale.of_size(1)
    assert (middle.area, middle.rate) == (scale.areas[1], scale.rates[1])
    assert (middle.level_area, middle.level_rate) == (scale.level_areas[1], scale.level_rates[1])
    # a size that was not fitted stands on the same line
    beyond = scale.of_params((1e7, 4e7, 1.6e8), 6.4e8)
    line = scale.level_areas[2] ** 2 / scale.level_areas[1]
    assert beyond.area == pytest.approx(line)
    assert beyond.level_area == pytest.approx(line)


def grid_of_finals(setups):
    """Final losses of sizes, each at some peak rates, batches and lengths."""
    curves = []
    for params, runs in setups.items():
        for lr, batch, total in runs:
            plan = cosine(peak_lr=lr, final_lr=1e-5, warmup_steps=100, total_steps=total)
            name = f"{params:g} {lr:g} {batch} {total}"
            loss = np.array([3.0])
            curves.append(
                LossCurve(name=name, steps=np.array([total]), loss=loss, schedule=plan, params=params, batch_size=batch)
            )
    return CurveSet(curves=tuple(curves))


def test_a_grid_of_final_losses_stands_on_the_means_of_its_runs():
    """Not on the run of the highest rate and smallest batch; errors count from a rate and a batch that runs have."""
    rates, batches = (5e-4, 1e-3, 2e-3), (64.0, 128.0, 512.0)
    runs = [(lr, batch, int(1e6 / batch)) for lr in rates for batch in batches]
    # of the first size one corner is missing, so that another run is its longest
    setups = {1e7: runs[:-3] + runs[-2:], 4e7: runs, 1.6e8: runs}
    curves = grid_of_finals(setups)
    scale, x = MODEL.scale(curves), np.log([1e7, 4e7, 1.6e8])
    assert scale.rates == (1e-3, 1e-3, 1e-3)
    assert scale.batches == (128.0, 128.0, 128.0)
    for row, level in ((0, scale.level_rates), (1, scale.level_batches)):
        means = [np.mean([np.log(run[row]) for run in setups[p]]) for p in setups]
        np.testing.assert_allclose(np.log(level), np.polyval(np.polyfit(x, means, 1), x), rtol=1e-12)
    # halfway between two values it is the lower one, in all sizes
    even = MODEL.scale(grid_of_finals({p: [run for run in runs if run[0] != 1e-3] for p in setups}))
    assert even.rates == (5e-4, 5e-4, 5e-4)
    # what does not say its batch is where errors count from, for the law as well
    middle = scale.of_size(1)
    assert middle.log_batch(None) == 0.0
    assert middle.log_batch(None, level=True) == middle.log_batch(128.0, level=True) != 0.0
    assert middle.log_batch(512.0) == pytest.approx(np.log(4.0))
    assert middle.log_batch(512.0, level=True) == pytest.approx(np.log(512.0 / scale.level_batches[1]))
    # areas are those of the longest runs, as everywhere
    longest = max(float(MODEL.law.area(c.schedule, c.steps)[0]) for c in curves if c.params == 4e7)
    assert scale.areas[1] == pytest.approx(longest)

    # a few runs with curves among them change nothing; where half of the runs have one, the longest run counts
    def with_curves(count):
        longer = [
            replace(c, steps=np.array([c.steps[0] // 2, c.steps[0]]), loss=np.array([3.1, 3.0]))
            for c in curves.curves[:count]
        ]
        return CurveSet(curves=(*longer, *curves.curves[count:]))

    few = MODEL.scale(with_curves(2))
    assert (few.level_rates, few.level_batches, few.rates) == (scale.level_rates, scale.level_batches, scale.rates)
    assert with_curves(2).mostly_single_losses
    half = with_curves(-(-len(curves) // 2))
    assert not half.mostly_single_losses
    assert MODEL.scale(half).rates[1] == 2e-3
    assert MODEL.scale(half).batches[1] == 64.0


def test_sizes_that_were_trained_in_one_batch_size_each_have_it_for_their_level():
    """No law of the batch was fitted there, so that a forecast for another batch must start from the size's own."""
    setups = {1e7: 64.0, 4e7: 256.0, 1.6e8: 256.0}
    curves = grid_of_finals({p: [(1e-3, batch, 2000), (1e-3, batch, 4000)] for p, batch in setups.items()})
    scale = MODEL.scale(curves)
    assert scale.level_batches == scale.batches == (64.0, 256.0, 256.0)
    assert scale.of_size(1).log_batch(512.0, level=True) == pytest.approx(np.log(2.0))


def test_a_run_of_a_grid_that_does_not_say_its_batch_is_taken_for_a_typical_one():
    runs = [(1e-3, batch, 2000) for batch in (64.0, 256.0, None)]
    others = {4e7: [(1e-3, 512.0, 2000), (1e-3, 32.0, 2000)], 1.6e8: [(1e-3, 32.0, 2000), (1e-3, 64.0, 4000)]}
    found = MODEL.scale(grid_of_finals({1e7: runs, **others}))
    told = MODEL.scale(grid_of_finals({1e7: [(rate, batch or 128.0, steps) for rate, batch, steps in runs], **others}))
    np.testing.assert_allclose(found.level_batches, told.level_batches, rtol=1e-12)
    np.testing.assert_allclose(found.batches, told.batches, rtol=1e-12)


def test_a_size_none_of_whose_runs_says_its_batch_has_none():
    runs = [(1e-3, batch, 2000) for batch in (64.0, 256.0)]
    scale = MODEL.scale(grid_of_finals({1e7: runs, 4e7: runs, 1.6e8: [(1e-3, None, 2000), (1e-3, None, 4000)]}))
    assert scale.batches[2] == scale.of_size(2).log_batch(512.0) == 0.0
    assert scale.level_batches == scale.batches


def test_parameters_of_one_or_two_sizes_and_of_unknown_ones_are_taken_at_their_longest_runs(make_curves):
    for sizes in ((1e7,), (1e7, 4e7)):
        scale = MODEL.scale(make_curves(sizes=sizes))
        assert (scale.level_areas, scale.level_rates) == (scale.areas, scale.rates)
    family = uneven_family(make_curves)
    unknown = MODEL.scale(CurveSet(curves=tuple(replace(curve, params=None) for curve in family)))
    assert unknown.level_areas == unknown.areas
    assert unknown.of_size(1).level_area == unknown.areas[1]


def test_sizes_are_labelled_ordered_and_centred(make_curves):
    curves = make_curves(sizes=(1e8, 1e7, 4e7))
    sizes = Sizes.of(curves)
    assert sizes.labels == ("10M", "40M", "100M")
    assert sizes.params == (1e7, 4e7, 1e8)
    assert sizes.index(curves) == (2, 2, 2, 0, 0, 0, 1, 1, 1)
    observations, _ = ScalingModel().observations(curves, ScalingModel().scale(curves))
    assert float(observations.log_params.sum()) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(np.diff(observations.log_params), [np.log(4.0), np.log(2.5)], atol=1e-12)


def test_labels_of_sizes_are_unique_and_unknown_ones_named(make_curves):
    run = make_curves().curves[0]
    sizes = [("a", 1e7), ("a", 2e7), ("a", None), (None, 3e7), (None, None)]
    curves = [replace(run, name=str(k), size=size, params=params) for k, (size, params) in enumerate(sizes)]
    labels = Sizes.of(CurveSet(curves=tuple(curves))).labels
    assert len(set(labels)) == 5
    assert set(labels) == {"a (10M)", "a (20M)", "a (?)", "30M", "all"}


def test_too_few_observations(make_curves):
    run = make_curves().curves[0]
    with pytest.raises(ModelError, match=r"^curves: found 7 observations after warm-up; allowed: at least 8$"):
        observations_of(CurveSet(curves=(run.take(np.arange(24) < 7),)))


def test_the_scatter_bounds_the_noise_of_a_smooth_curve_and_is_never_zero(make_curves):
    """White noise of 2% of the loss on smooth curves is found to a tenth; without noise, little but not nothing is."""
    model = ScalingModel()
    found = {}
    for noise in (0.0, 0.02):
        curves = make_curves(noise=noise, points=150)
        (found[noise],) = np.asarray(model.observations(curves, model.scale(curves))[0].scatter)
    assert 0.0 < found[0.0] < 0.01
    assert found[0.02] == pytest.approx(0.02 * 2.6, rel=0.1)


def test_the_jitter_of_losses_is_a_part_of_their_scale(make_curves):
    """The mean of the sizes; a run with few losses tells nothing, and where all are such, it is not known."""
    alike = make_curves(noise=0.02, points=150)
    quiet = make_curves(sizes=(4e7,), points=150)
    both = CurveSet(curves=(*alike, *quiet))
    assert MODEL.scale(alike).jitter == pytest.approx(0.02 * 2.6, rel=0.1)
    assert MODEL.scale(both).jitter == pytest.approx(0.5 * (MODEL.scale(alike).jitter + MODEL.scale(quiet).jitter))
    ends = tuple(replace(c, name=f"{c.name} end", steps=c.steps[-1:], loss=c.loss[-1:]) for c in quiet)
    assert MODEL.scale(CurveSet(curves=(*alike, *ends))).jitter == MODEL.scale(alike).jitter
    assert MODEL.scale(CurveSet(curves=ends)).jitter == 0.0
    assert MODEL.scale(both).of_size(1).jitter == MODEL.scale(both).jitter


def test_a_grid_of_final_losses_is_not_padded_and_has_the_density_of_padded_runs(make_curves):
    whole = make_curves(sizes=(1e7, 3e7), points=9)
    cut = [
        replace(c, name=f"{c.name} {k}", steps=c.steps[k : k + 1], loss=c.loss[k : k + 1])
        for c in whole
        for k in (5, 8)
    ]
    finals = CurveSet(curves=tuple(cut))
    model = ScalingModel().resolved((1e7, 3e7))
    observations, runs = model.observations(finals, model.scale(finals))
    # a constant run and one that decays later share their fifth observation
    assert observations.loss.shape == (10, 1)
    assert observations.single
    of_first = np.asarray(observations.groups[0].bundles.runs)[np.asarray(observations.groups[0].bundles.size) == 0]
    first = [runs[k] for k in of_first.ravel() if k >= 0]
    assert sorted(first) == sorted(c.name for c in finals.distinct() if c.params == 1e7)
    shared = {parameter.name: parameter for parameter in model.law.parameters if parameter.shared} | model.scales
    values = {site: jnp.asarray(parameter.prior.center) for site, parameter in shared.items()}
    values |= {name: jnp.repeat(value, 2) for name, value in values_for(model.scale(finals)).items()}
    values["noise_power"] = jnp.asarray(0.5)
    structure = model.structure(observations, values)
    found = loss_density(structure, observations.loss)
    as_whole_runs = loss_density(
        replace(structure, groups=(replace(structure.groups[0], single=False),)), observations.loss
    )
    assert float(found) == pytest.approx(float(as_whole_runs), rel=1e-10)


def test_batches_of_a_size_are_relative_to_that_of_its_longest_run(make_curves):
    curves = make_curves(sizes=(1e7,))
    batches = dict(zip(curves.names, (64.0, 64.0, 256.0), strict=True))
    mixed = CurveSet(curves=tuple(replace(c, batch_size=batches[c.name]) for c in curves))
    assert mixed.batches_differ
    assert not curves.batches_differ
    assert Sizes.of(mixed).batches(mixed) == ((64.0, 256.0),)
    model = ScalingModel().resolved((1e7,), batches_differ=mixed.batches_differ)
    assert "batch_progress" in model.sites
    scale = model.scale(mixed)
    observations, runs = model.observations(mixed, scale)
    log_batch = dict(zip(runs, np.asarray(observations.inputs.exposure.log_batch), strict=True))
    longest = max(mixed, key=lambda c: model.law.area(c.schedule, c.steps[-1:])[0])
    assert scale.batches == (longest.batch_size,)
    for name, found in log_batch.items():
        assert found == pytest.approx(np.log(batches[name] / longest.batch_size))
    assert observations.places["batch"].shape == (1, 3)
    assert len(MODEL.observations(curves, MODEL.scale(curves))[0].places["batch"]) == 0
