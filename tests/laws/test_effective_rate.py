"""The effective rate and its law against plain loops over updates."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayeslr import schedules
from bayeslr.curves import Setup
from bayeslr.errors import ModelError
from bayeslr.laws import EffectiveRateLaw, IdentityRate, MixedMemoryLaw, PowerRate, Scale, WeightNormRate
from bayeslr.laws.cells import Cells, through_memories
from bayeslr.laws.effective import _decomposed
from bayeslr.laws.rates import log_norm

SCALE = Scale(area=6.0, rate=1e-3, loss=3.0, memory=77.0)
COMMON = {"warmup_steps": 200, "total_steps": 6000}
PLANS = {
    "wsd": schedules.wsd(peak_lr=1e-3, final_lr=0.0, decay_steps=1200, **COMMON),
    "cosine": schedules.cosine(peak_lr=1e-3, final_lr=1e-4, **COMMON),
    "drops": schedules.multistep(peak_lr=5e-4, milestones=[2000, 5000], lrs=[1e-4, 3e-5], **COMMON),
}
STEPS = np.linspace(300, 6000, 20).astype(int)
VALUES = {
    "level": 3.0,
    "slope": 0.1,
    "alpha": 0.5,
    "drop": 0.12,
    "tau": 120.0,
    "memory_spread": 0.5,
    "area_memory": 1e-9,
    "norm_ratio": 2.0,
}


def rates_by_a_loop(lr, growth, weight_decay):
    squared, rates = 1.0, []
    for rate in lr:
        squared = squared * np.exp(-2.0 * weight_decay * rate) + (growth * rate) ** 2
        rates.append(rate / np.sqrt(squared))
    return np.array(rates)


def loss_by_a_loop(plan, values, weight_decay, scale=SCALE):
    """The law by its definition: one update after the other, and a fine sum over memories."""
    growth = values["norm_ratio"] * scale.growth
    rates = rates_by_a_loop(plan.lr, growth, weight_decay)
    reference = rates_by_a_loop(np.full(6000, scale.rate), growth, scale.weight_decay)
    place = np.linspace(-4.0, 4.0, 81)
    weights = np.exp(-0.5 * place**2)
    memories = np.clip(values["tau"] * np.exp(values["memory_spread"] * place), 10.0, 1e5)
    seen, floor = np.full(memories.size, rates[plan.warmup_steps]), {}
    for step in range(plan.warmup_steps + 1, plan.total_steps + 1):
        kept = np.exp(-1.0 / memories)
        seen = kept * seen + (1.0 - kept) * rates[step - 1]
        floor[step] = (weights @ seen) / weights.sum() / reference[3000]
    progress = np.log(np.cumsum(rates)[STEPS - 1] / reference.sum())
    forward = values["slope"] / values["alpha"] * np.expm1(-values["alpha"] * progress)
    return values["level"] + forward - values["drop"] * (1.0 - np.array([floor[step] for step in STEPS]))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1, 3.0])
def test_the_norm_is_that_of_its_recursion(weight_decay):
    lr = np.abs(np.random.default_rng(0).normal(1e-2, 4e-3, 3000))
    lr[:5] = 0.0
    by_loop = rates_by_a_loop(lr, 20.0, weight_decay)
    closed = lr * np.exp(-0.5 * log_norm(lr, np.ones(lr.size), np.array([20.0]), weight_decay)[:, 0])
    np.testing.assert_allclose(closed, by_loop, rtol=1e-9)


def test_stretches_of_one_rate_are_exact():
    lr, count = np.array([1e-3, 4e-3, 0.0, 2e-3]), np.array([700.0, 30.0, 10.0, 900.0])
    growth = np.array([40.0, 7.0])
    whole = log_norm(np.repeat(lr, count.astype(int)), np.ones(int(count.sum())), growth, 0.1)
    np.testing.assert_allclose(log_norm(lr, count, growth, 0.1), whole[count.cumsum().astype(int) - 1], rtol=1e-9)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("setup", [Setup(), Setup(weight_decay=1.0)], ids=["usual decay", "strong decay"])
def test_the_law_is_that_of_a_loop_over_updates(plan, setup):
    law = EffectiveRateLaw()
    features = law.features(plan, STEPS, SCALE, setup)
    values = {name: jnp.asarray(value) for name, value in VALUES.items()}
    expected = loss_by_a_loop(plan, VALUES, 0.1 if setup.weight_decay is None else setup.weight_decay)
    np.testing.assert_allclose(law.terms(values, features).total, expected, atol=1e-3)
    # a control: the weight decay of another run is found out
    other = law.features(plan, STEPS, SCALE, Setup(weight_decay=10.0))
    assert np.abs(np.asarray(law.terms(values, other).total) - expected).max() > 5e-3


def test_the_floor_of_many_runs_is_compressed_and_its_loss_is_the_same():
    law, rng = EffectiveRateLaw(), np.random.default_rng(3)
    plans = [
        schedules.wsd(peak_lr=peak, warmup_steps=200, decay_steps=decay, total_steps=6000)
        for peak, decay in zip(rng.uniform(3e-4, 2e-3, 100), rng.integers(300, 4000, 100).tolist(), strict=True)
    ]
    each = [law.features(plan, STEPS, SCALE, Setup()) for plan in plans]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    small, common = law.compressed(stacked)
    assert small.floor.shape[2] <= 0.7 * stacked.floor.shape[2]
    values = {name: jnp.asarray(value) for name, value in VALUES.items()} | {"area_memory": jnp.asarray(0.4)}
    for place, features in enumerate(each):
        own = jax.tree.map(lambda leaf, place=place: leaf[place], small)
        ours = law.terms({**values, **common}, own).total
        np.testing.assert_allclose(ours, law.terms(values, features).total, atol=1e-7)
    # of few runs there is nothing to gain
    few = jax.tree.map(lambda leaf: leaf[:3], stacked)
    assert law.compressed(few)[0] is few
    assert law.compressed(few)[1] == {}


INFERRED = EffectiveRateLaw(rate=WeightNormRate(weight_decay="inferred"))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("weight_decay", [0.02, 0.06, 0.4])
def test_an_unknown_weight_decay_is_a_parameter(plan, weight_decay):
    """Against a loop whose weights decay as the parameter says, those of the reference included."""
    features = INFERRED.features(plan, STEPS, SCALE, Setup())
    values = {name: jnp.asarray(value) for name, value in VALUES.items()} | {"weight_decay": jnp.asarray(weight_decay)}
    scale = replace(SCALE, weight_decay=weight_decay)
    # the growth counts from a decay of 0.1
    ratio = VALUES["norm_ratio"] * SCALE.growth / scale.growth
    expected = loss_by_a_loop(plan, VALUES | {"norm_ratio": ratio}, weight_decay, scale)
    found = INFERRED.terms(values, features).total
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # a control: the usual decay is another law
    other = INFERRED.terms(values | {"weight_decay": jnp.asarray(0.1)}, features).total
    assert np.abs(np.asarray(other) - found).max() > 1e-3


@dataclass(frozen=True, kw_only=True)
class Nodes(WeightNormRate):
    """The same map, tabulated at another number of nodes."""

    count: int

    @property
    def axes(self):
        return tuple(replace(axis, count=self.count) for axis in super().axes)


@pytest.mark.parametrize(("steps", "peak"), [(24_000, 3e-4), (24_000, 3e-3), (100_000, 1e-3)])
def test_nodes_suffice_for_all_decays_and_ratios_that_priors_hold(steps, peak):
    """Thirty draws of the priors; losses measured to a thousandth would see six nodes an axis, which are a control."""
    plan = schedules.wsd(
        peak_lr=peak, warmup_steps=steps // 50, decay_steps=steps // 5, total_steps=steps, final_lr=0.0
    )
    at, rng = np.linspace(steps // 40, steps, 30).astype(int), np.random.default_rng(0)
    scale = Scale(area=peak * steps, rate=peak, loss=3.0, memory=steps**0.5)
    usual = VALUES | {"tau": 3.0 * scale.memory, "memory_spread": 1.5, "area_memory": 0.5}
    draws = {
        "weight_decay": jnp.asarray(np.exp(rng.normal(np.log(0.1), 0.5, 30))),
        "norm_ratio": jnp.asarray(np.exp(rng.normal(np.log(2.0), 0.3, 30))),
    }

    def losses(rate):
        law = EffectiveRateLaw(rate=rate)
        features = law.features(plan, at, scale, Setup())
        known = {name: jnp.asarray(value) for name, value in usual.items()}
        return jax.vmap(lambda own: law.terms(known | own, features).total)(draws)

    exact = losses(Nodes(weight_decay="inferred", count=20))
    assert jnp.abs(losses(INFERRED.rate) - exact).max() < 3e-4
    assert jnp.abs(losses(Nodes(weight_decay="inferred", count=6)) - exact).max() > 6e-4


def test_products_of_two_axes_are_compressed_and_the_loss_is_the_same():
    each = [INFERRED.features(plan, STEPS, SCALE, Setup()) for plan in PLANS.values()]
    small, common = INFERRED.compressed(jax.tree.map(lambda *leaves: np.stack(leaves), *each))
    assert small.log_progress.shape[2] == common["rate_products"].shape[0] < each[0].log_progress.shape[1]
    values = {name: jnp.asarray(value) for name, value in VALUES.items()} | {"weight_decay": jnp.asarray(0.07)}
    for place, features in enumerate(each):
        own = jax.tree.map(lambda leaf, place=place: leaf[place], small)
        ours = INFERRED.terms({**values, **common}, own).total
        np.testing.assert_allclose(ours, INFERRED.terms(values, features).total, atol=3e-6)


def test_a_run_that_says_its_weight_decay_has_it_whatever_that_of_the_others_is():
    """At a parameter of 0.1 the reference is that of a law without it, and so is the rest."""
    values, said = {name: jnp.asarray(value) for name, value in VALUES.items()}, Setup(weight_decay=0.4)
    usual = values | {"weight_decay": jnp.asarray(0.1)}
    expected = EffectiveRateLaw().terms(values, EffectiveRateLaw().features(PLANS["wsd"], STEPS, SCALE, said)).total
    found = INFERRED.terms(usual, INFERRED.features(PLANS["wsd"], STEPS, SCALE, said)).total
    np.testing.assert_allclose(found, expected, atol=5e-4)
    unheard = INFERRED.terms(usual, INFERRED.features(PLANS["wsd"], STEPS, SCALE, Setup())).total
    assert np.abs(np.asarray(unheard) - expected).max() > 3e-3


@pytest.mark.parametrize("said", [0.0, 0.3])
def test_a_run_that_joins_and_says_its_weight_decay_leaves_the_others_as_they_are(said):
    """What weights grow by counts from a decay of 0.1 there, whatever the mean of those that are said."""
    joined = replace(SCALE, weight_decay=max(said, 1e-9))
    before = INFERRED.features(PLANS["cosine"], STEPS, SCALE, Setup())
    after = INFERRED.features(PLANS["cosine"], STEPS, joined, Setup())
    np.testing.assert_array_equal(after.log_progress, before.log_progress)


def test_without_any_weight_decay_norms_grow_and_do_not_come_to_rest():
    none = replace(SCALE, weight_decay=1e-9)
    assert none.growth == SCALE.growth
    values = {name: jnp.asarray(value) for name, value in VALUES.items()}
    law, plan = EffectiveRateLaw(), PLANS["cosine"]
    expected = loss_by_a_loop(plan, VALUES, 0.0, none)
    found = law.terms(values, law.features(plan, STEPS, none, Setup(weight_decay=0.0))).total
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_weight_decay_is_inferred_where_no_run_says_it_unless_it_is_said_otherwise():
    def names(law, *, decays_known):
        resolved = law.resolved(batches_differ=False, decays_known=decays_known)
        return [parameter.name for parameter in resolved.parameters]

    assert "weight_decay" in names(EffectiveRateLaw(), decays_known=False)
    assert "weight_decay" not in names(EffectiveRateLaw(), decays_known=True)
    given = EffectiveRateLaw(rate=WeightNormRate(weight_decay="given"))
    assert "weight_decay" not in names(given, decays_known=False)
    assert "weight_decay" in names(INFERRED, decays_known=True)
    assert "weight_decay" not in names(EffectiveRateLaw(rate=PowerRate()), decays_known=False)
    with pytest.raises(ModelError, match=r"weight_decay='known'; allowed: 'auto', 'given', 'inferred'"):
        WeightNormRate(weight_decay="known")


def test_what_is_assumed_of_runs_that_do_not_say_decay_or_batch_is_told():
    scale = replace(SCALE, weight_decay=0.2)
    said, unsaid = Setup(weight_decay=0.2, batch_size=8.0), Setup()
    law = EffectiveRateLaw()
    given = law.resolved(batches_differ=True, decays_known=True)
    assert given.assumed([said, said], scale) == ()
    assert given.assumed([said, unsaid, unsaid], scale) == (
        "2 of 3 runs do not say their weight decay, and are taken to have the others' mean, 0.2; if you know it, give "
        "it in the manifest.",
        "2 of 3 runs do not say their batch size, and are taken to have that of their size's reference; if you know "
        "it, give it in the manifest.",
    )
    # where batches have no influence nothing is taken for granted of them
    alike = law.resolved(batches_differ=False, decays_known=True)
    assert [text[:10] for text in alike.assumed([said, unsaid], scale)] == ["1 of 2 run"]
    fixed = EffectiveRateLaw(rate=WeightNormRate(weight_decay="given"))
    assert fixed.assumed([unsaid], scale) == (
        "No run says its weight decay, so that all are taken to have 0.2; if you know it, give it in the manifest.",
    )
    (inferred,) = law.resolved(batches_differ=False, decays_known=False).assumed([unsaid, unsaid], scale)
    assert inferred.startswith("No run says its weight decay, so that it is inferred between 0.015 and 0.6 (")
    (of_zero,) = law.assumed([Setup(weight_decay=0.0), Setup(weight_decay=0.1)], scale)
    assert of_zero.startswith("1 of 2 runs have a weight decay of 0: the norms of their weights never come to rest")
    asked = EffectiveRateLaw(rate=WeightNormRate(weight_decay="inferred"))
    (of_some,) = asked.assumed([said, unsaid], scale)
    assert of_some.startswith("1 of 2 runs do not say their weight decay, so that one for all of them is inferred")
    for other in (EffectiveRateLaw(rate=PowerRate()), MixedMemoryLaw()):
        assert other.assumed([said, unsaid], scale) == ()


def test_a_map_needs_an_axis_for_each_parameter():
    class Shorter(WeightNormRate):
        axes = ()

    with pytest.raises(ModelError, match=r"^law: the map 'weight-norm' has 1 parameters and 0 axes; allowed: an axis"):
        EffectiveRateLaw(rate=Shorter())


@pytest.mark.parametrize("shape", [(20, 900), (300, 900), (3000, 900), (3000, 384)])
def test_a_compressed_matrix_is_the_same_to_its_precision(shape):
    """Singular values fall from 1 to 1e-13, over more of them than are kept; rows stay orthonormal."""
    rng = np.random.default_rng(0)
    rank = min(*shape, 100)
    left, right = (np.linalg.qr(rng.standard_normal((n, rank)))[0] for n in shape)
    matrix = (left * 10.0 ** (-13.0 * np.arange(rank) / rank)) @ right.T
    small, basis = _decomposed(matrix)
    assert np.linalg.norm(small @ basis - matrix, 2) < 2e-6
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    assert small.shape[1] == len(basis) <= 96


def test_a_matrix_of_more_rank_than_a_sketch_has_is_compressed_without_a_loss():
    matrix = np.random.default_rng(0).standard_normal((600, 900))
    small, basis = _decomposed(matrix)
    np.testing.assert_allclose(small @ basis, matrix, atol=1e-9)


def test_the_identity_is_the_law_of_mixed_memories():
    """For one peak, and with no memory in area, a constant has moved into the level, and nothing else."""
    plan, law = PLANS["cosine"], EffectiveRateLaw(rate=IdentityRate())
    values = {name: jnp.asarray(value) for name, value in VALUES.items() if name != "norm_ratio"}
    ours = law.terms(values, law.features(plan, STEPS, SCALE, Setup()))
    mixed = MixedMemoryLaw()
    theirs = mixed.terms(values, mixed.features(plan, STEPS, SCALE, Setup()))
    np.testing.assert_allclose(ours.forward, theirs.forward, rtol=1e-9)
    np.testing.assert_allclose(ours.total, theirs.total, atol=3e-4)


def test_a_power_of_one_is_the_identity_and_peaks_follow_the_power():
    plan, power = PLANS["drops"], EffectiveRateLaw(rate=PowerRate())
    identity = EffectiveRateLaw(rate=IdentityRate())
    values = {name: jnp.asarray(value) for name, value in VALUES.items() if name != "norm_ratio"}
    one = power.terms(values | {"rate_power": jnp.asarray(1.0)}, power.features(plan, STEPS, SCALE, Setup()))
    plain = identity.terms(values, identity.features(plan, STEPS, SCALE, Setup()))
    np.testing.assert_allclose(one.total, plain.total, atol=2e-4)
    half = power.terms(values | {"rate_power": jnp.asarray(0.5)}, power.features(plan, STEPS, SCALE, Setup()))
    assert float(half.drop) == pytest.approx(VALUES["drop"] * 0.5**0.5, rel=1e-3)


def test_features_do_not_depend_on_the_number_of_updates():
    long = schedules.cosine(peak_lr=1e-3, warmup_steps=2000, total_steps=600_000)
    cells = Cells.of(long, np.array([600_000]))
    assert cells.lr.size < 1000
    assert cells.lr @ cells.count == pytest.approx(long.lr.sum(), rel=1e-9)


def cells_of_updates(schedule, steps, through=()):
    """A cell for every update."""
    count = int(max(*steps, *through))
    rates = schedule.lr[:count]
    return Cells(lr=rates, count=np.ones(count), first=schedule.warmup_steps, at=np.asarray(steps) - 1)


def test_the_end_of_a_rate_that_goes_up_and_down_is_as_good_as_exact(monkeypatch):
    """Twenty smooth cycles, none of whose changes is a jump; so many cells as a cosine has would be off by 2e-3."""
    at = np.arange(20_000)
    rates = 1e-3 * (0.55 + 0.45 * np.cos(2.0 * np.pi * (at - 500) / 1000.0))
    rates[:500] = 1e-3 * (at[:500] + 1) / 500.0
    plan, law, steps = schedules.Schedule(lr=rates), EffectiveRateLaw(), np.array([20_000])
    values = {name: jnp.asarray(value) for name, value in VALUES.items()}
    ours = law.terms(values, law.features(plan, steps, SCALE, Setup())).total
    monkeypatch.setattr("bayeslr.laws.effective.Cells.of", cells_of_updates)
    exact = law.terms(values, law.features(plan, steps, SCALE, Setup())).total
    np.testing.assert_allclose(ours, exact, atol=3e-4)


def test_a_few_steps_of_long_runs_are_as_good_as_exact(monkeypatch):
    """Against a cell for every update, for a memory that is short beside the run."""
    common = {"peak_lr": 1e-3, "warmup_steps": 2000, "total_steps": 200_000}
    plans = [
        schedules.wsd(final_lr=1e-5, decay_steps=150, **common),
        schedules.wsd(final_lr=0.0, decay_steps=40_000, **common),
        schedules.cosine(final_lr=1e-4, **common),
    ]
    law, steps = EffectiveRateLaw(), np.array([150_000, 200_000])
    values = {name: jnp.asarray(value) for name, value in VALUES.items()} | {"tau": jnp.asarray(15.0)}

    def losses():
        return np.array([law.terms(values, law.features(plan, steps, SCALE, Setup())).total for plan in plans])

    few = losses()
    monkeypatch.setattr("bayeslr.laws.cells._FEW", 0)
    many = losses()
    monkeypatch.setattr("bayeslr.laws.effective.Cells.of", cells_of_updates)
    exact = losses()
    assert np.abs(few - exact).max() < 4e-5
    # the control: cells that do not know where they are asked
    assert np.abs(many - exact).max() > 2e-4


def test_values_through_memories_are_those_of_the_recursion():
    rng = np.random.default_rng(1)
    values, passed, tau = rng.normal(size=(50, 3)), rng.uniform(0.1, 9.0, 50), np.array([2.0, 30.0])
    expected = np.repeat(values[:1], 2, axis=0)
    for cell in range(1, 50):
        kept = np.exp(-passed[cell] / tau)[:, None]
        expected = kept * expected + (1.0 - kept) * values[cell]
    every = through_memories(values, passed, tau, np.arange(50))
    np.testing.assert_allclose(every[-1], expected, rtol=1e-10)
    # a few places are summed in another way
    few = np.array([30, 0, 49, 30])
    np.testing.assert_allclose(through_memories(values, passed, tau, few), every[few], rtol=1e-10)


def test_equal_laws_are_equal_and_hash():
    assert EffectiveRateLaw() == EffectiveRateLaw(rate=WeightNormRate())
    assert hash(EffectiveRateLaw()) == hash(replace(EffectiveRateLaw()))
    assert EffectiveRateLaw() != EffectiveRateLaw(rate=PowerRate())


def test_a_batch_moves_progress_and_floor_by_its_powers():
    """Beside the law by its definition: at a batch of four times the reference, with powers of a half and one."""
    plan, law = PLANS["wsd"], EffectiveRateLaw(batch="power")
    scale = replace(SCALE, batch=64.0)
    values = {name: jnp.asarray(value) for name, value in VALUES.items()}
    values |= {"batch_progress": jnp.asarray(0.5), "batch_noise": jnp.asarray(1.0)}
    setup = Setup(weight_decay=0.1)
    at_reference = law.terms(values, law.features(plan, STEPS, scale, setup))
    fourfold = law.terms(values, law.features(plan, STEPS, scale, replace(setup, batch_size=256.0)))
    plain = EffectiveRateLaw(batch="fixed")
    fixed = plain.terms(values, plain.features(plan, STEPS, scale, replace(setup, batch_size=256.0)))
    np.testing.assert_array_equal(fixed.total, at_reference.total)
    # twice the progress, a quarter of the floor
    np.testing.assert_allclose(fourfold.forward, at_reference.forward * 2.0 ** -VALUES["alpha"], rtol=1e-12)
    floors = [terms.drop * (1.0 - terms.response) for terms in (fourfold, at_reference)]
    np.testing.assert_allclose(floors[0], floors[1] / 4.0, rtol=1e-12)
    without = [
        terms.total - floor - terms.forward for terms, floor in zip((fourfold, at_reference), floors, strict=True)
    ]
    np.testing.assert_allclose(without[0], without[1], rtol=1e-12)


def test_batches_count_where_they_differ_unless_it_is_said_otherwise():
    names = {
        batch: [p.name for p in EffectiveRateLaw(batch=batch).resolved(batches_differ=True).parameters]
        for batch in ("auto", "power", "fixed")
    }
    assert names["auto"] == names["power"]
    assert set(names["power"]) - set(names["fixed"]) == {"batch_progress", "batch_noise"}
    assert EffectiveRateLaw().resolved(batches_differ=False).batch == "auto"
    with pytest.raises(ModelError, match=r"^law: batch='tokens'; allowed: 'auto', 'fixed', 'power'$"):
        EffectiveRateLaw(batch="tokens")
