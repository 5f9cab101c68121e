"""The low-rank likelihood against the dense Gaussian that it stands for."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayeslr.model import likelihood
from bayeslr.model.bundles import Bundles, Group
from bayeslr.model.few import is_few
from bayeslr.model.left_out import predict_left_out
from bayeslr.model.likelihood import condition, count_effects, log_density, residuals, simulate
from bayeslr.model.nesting import Levels

density = jax.jit(log_density)

SHAPES = ("run_shapes", "shared_shapes", "exchange")
DIFFERENTIATED = ("mean", "sd", "autocorrelation", "run_scale", "shared_scale", "response")


def dense(structure):
    """Mean, residual covariance and effect columns of the valid observations, written with plain loops.

    The effects are, in this order: those that sizes have in common, the sizes' own, the runs' own, all standard normal.
    """
    names = [name for name in structure.__dataclass_fields__ if name not in ("common", "groups")]
    s = {name: np.asarray(getattr(structure, name)) for name in names}
    at = [(r, i) for r, i in np.ndindex(s["valid"].shape) if s["valid"][r, i]]
    residual = np.zeros((len(at), len(at)))
    for a, (r, i) in enumerate(at):
        for b, (other, j) in enumerate(at):
            if r == other:
                low, high = sorted((i, j))
                residual[a, b] = s["sd"][r, i] * s["sd"][r, j] * np.prod(s["autocorrelation"][r, low + 1 : high + 1])
    s["shared_shapes"] = s["shared_shapes"] - s["exchange"][None, :, None] * s["response"][:, None, :]
    for level in ("shared", "run"):
        s[f"{level}_shapes"] = s[f"{level}_shapes"] * s[f"{level}_scale"][:, :, None]
    sizes, p = len(s["sizes"]), s["shared_shapes"].shape[1]
    runs, q = s["run_shapes"].shape[0], s["run_shapes"].shape[1]
    columns = np.zeros((len(at), p + sizes * p + runs * q))
    for a, (r, i) in enumerate(at):
        columns[a, :p] = np.sqrt(structure.common) * s["shared_shapes"][r, :, i]
        first = p + s["size_of_run"][r] * p
        columns[a, first : first + p] = np.sqrt(1.0 - structure.common) * s["shared_shapes"][r, :, i]
        first = p + sizes * p + r * q
        columns[a, first : first + q] = s["run_shapes"][r, :, i]
    mean = np.array([s["mean"][r, i] for r, i in at])
    return mean, residual, columns


def conditional(structure, y):
    """Dense mean and covariance, given losses, of what `condition` returns: common, sizes' total and runs' effects."""
    mean, residual, columns = dense(structure)
    gain = columns.T @ np.linalg.inv(residual + columns @ columns.T)
    sizes, p = len(structure.sizes), structure.shared_shapes.shape[1]
    total = np.eye(columns.shape[1])
    for size in range(sizes):
        rows = slice(p + size * p, p + size * p + p)
        total[rows, :p] = np.sqrt(structure.common) * np.eye(p)
        total[rows, rows] = np.sqrt(1.0 - structure.common) * np.eye(p)
    if structure.common == 0.0:
        total[:p] = 0.0
    covariance = np.eye(columns.shape[1]) - gain @ columns
    return total @ gain @ (y - mean), total @ covariance @ total.T


def assert_condition_draws_from(general, structure):
    """Check mean and covariance of what `condition` draws against the dense ones of another form of the structure."""
    y, loss = observed(general)
    mean, covariance = conditional(general, y)

    def draw(normals):
        return jnp.concatenate([part.ravel() for part in condition(structure, loss, normals)])

    zeros = jnp.zeros(count_effects(structure))
    factor = np.asarray(jax.jacfwd(draw)(zeros))
    np.testing.assert_allclose(draw(zeros), mean, atol=1e-9)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-9)


def assert_dense_density_and_gradients_of(general, structure, observations=slice(None)):
    """Check the density of a structure against the dense one of another form of it, and gradients against its."""
    mean, residual, columns = dense(general)
    y, loss = observed(general)
    expected = multivariate_normal(mean, residual + columns @ columns.T).logpdf(y)
    assert float(log_density(structure, loss)) == pytest.approx(expected, abs=1e-9)
    for part in DIFFERENTIATED:
        one, two = (
            jax.grad(lambda value, of=of, part=part: log_density(replace(of, **{part: value}), loss))(getattr(of, part))
            for of in (general, structure)
        )
        if part not in ("run_scale", "shared_scale"):
            one, two = one[:, observations], two[:, observations]
        np.testing.assert_allclose(one, two, rtol=1e-7, atol=1e-9, err_msg=part)


def observed(structure, seed=3):
    mean, residual, columns = dense(structure)
    y = np.random.default_rng(seed).multivariate_normal(mean, residual + columns @ columns.T)
    loss = np.zeros(structure.mean.shape)
    loss[np.asarray(structure.valid)] = y
    return y, jnp.asarray(loss)


def test_log_density_equals_the_dense_gaussian(structure):
    mean, residual, columns = dense(structure)
    y, loss = observed(structure)
    expected = multivariate_normal(mean, residual + columns @ columns.T).logpdf(y)
    assert float(density(structure, loss)) == pytest.approx(expected, abs=1e-9)


def test_where_rounding_would_decide_there_is_no_density(structure):
    """A mean that is far off, or effects that are large, as long as the dense Gaussian can be computed, and beyond."""
    y, loss = observed(structure)
    for far in (
        replace(structure, mean=structure.mean + 1e3 * structure.sd),
        replace(structure, shared_scale=1e3 * structure.shared_scale),
    ):
        mean, residual, columns = dense(far)
        expected = multivariate_normal(mean, residual + columns @ columns.T).logpdf(y)
        assert float(density(far, loss)) == pytest.approx(expected, rel=1e-6)
    for far in (
        replace(structure, mean=structure.mean + 1e10 * structure.sd),
        replace(structure, shared_scale=1e12 * structure.shared_scale),
    ):
        assert float(density(far, loss)) == -np.inf


@pytest.mark.parametrize("effects", ["run", "shared", "none"])
def test_log_density_without_some_effects(structure, effects):
    if effects != "run":
        none = structure.run_shapes[:, :0], structure.run_scale[..., :0]
        structure = replace(structure, run_shapes=none[0], run_scale=none[1])
    if effects != "shared":
        none = structure.shared_shapes[:, :0], structure.shared_scale[..., :0], structure.exchange[:0]
        structure = replace(structure, shared_shapes=none[0], shared_scale=none[1], exchange=none[2])
    mean, residual, columns = dense(structure)
    y, loss = observed(structure)
    expected = multivariate_normal(mean, residual + columns @ columns.T).logpdf(y)
    assert float(density(structure, loss)) == pytest.approx(expected, abs=1e-9)


def test_log_density_notices_each_part_of_the_structure(structure):
    """A control: were a part ignored, scaling it would not change the density."""
    _, loss = observed(structure)
    base = float(density(structure, loss))
    changes = dict.fromkeys((*SHAPES, *DIFFERENTIATED), 1.1) | {"mean": 1.01, "autocorrelation": 0.9}
    for name, factor in changes.items():
        changed = replace(structure, **{name: factor * getattr(structure, name)})
        assert abs(float(density(changed, loss)) - base) > 1e-3, name
    size_of_run = jnp.array([0, 0, 1, 1])
    regrouped = replace(structure, size_of_run=size_of_run, groups=(Group.of(np.arange(4), size_of_run, 2),))
    assert abs(float(density(regrouped, loss)) - base) > 1e-3


def test_padding_has_no_influence(structure):
    _, loss = observed(structure)
    rng = np.random.default_rng(0)

    def spoiled(name, low, high):
        array = getattr(structure, name)
        mask = structure.valid if array.ndim == 2 else structure.valid[:, None]
        return jnp.where(mask, array, rng.uniform(low, high, array.shape))

    other = replace(
        structure,
        mean=spoiled("mean", -9.0, 9.0),
        sd=spoiled("sd", 0.5, 5.0),
        run_shapes=spoiled("run_shapes", -9.0, 9.0),
        shared_shapes=spoiled("shared_shapes", -9.0, 9.0),
        response=spoiled("response", -9.0, 9.0),
    )
    noise = jnp.where(structure.valid, loss, rng.normal(size=loss.shape))
    assert float(density(other, noise)) == pytest.approx(float(density(structure, loss)), abs=1e-9)
    normals = jax.random.normal(jax.random.key(0), (count_effects(structure),))
    for one, two in zip(condition(other, noise, normals), condition(structure, loss, normals), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-9)


def linear_map(monkeypatch, draw):
    """Mean and factor of a draw that is linear in standard normals: its value and derivative where all are zero."""
    key, taken = jax.random.key(0), [0]

    def values_of(normals):
        taken[0] = 0

        def normal(_key, shape):
            first, taken[0] = taken[0], taken[0] + int(np.prod(shape))
            return normals[first : taken[0]].reshape(shape)

        monkeypatch.setattr(jax.random, "normal", normal)
        return draw(key)

    zeros = jnp.zeros(200)
    mean, factor = values_of(zeros), jax.jit(jax.jacfwd(values_of))(zeros)
    assert taken[0] <= zeros.size
    return np.asarray(mean), np.asarray(factor)


def test_condition_draws_from_the_dense_conditional(structure):
    assert_condition_draws_from(structure, structure)


@pytest.mark.parametrize("part", DIFFERENTIATED)
def test_gradient_equals_differences(structure, part):
    _, loss = observed(structure)
    start = getattr(structure, part)
    direction = jnp.asarray(np.random.default_rng(9).normal(size=start.shape)) * jnp.abs(start)

    def along(t):
        return log_density(replace(structure, **{part: start + t * direction}), loss)

    width = 1e-5
    expected = (float(along(width)) - float(along(-width))) / (2 * width)
    assert float(jax.grad(along)(0.0)) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_simulate_has_the_dense_moments(structure, monkeypatch):
    mean, residual, columns = dense(structure)
    valid = np.asarray(structure.valid)
    got, factor = linear_map(monkeypatch, lambda key: simulate(structure, key)[valid])
    np.testing.assert_allclose(got, mean, atol=1e-12)
    np.testing.assert_allclose(factor @ factor.T, residual + columns @ columns.T, atol=1e-12)


def test_random_numbers_are_independent(structure):
    """With real keys: draws of the losses have the dense covariance.

    An entry of these sample covariances, of variables with variance one, has a standard deviation below
    sqrt(2 / 20000) = 0.01; the bound of 0.06 is six of them, so a false alarm over the 800 entries has a chance below
    1e-5. Keys used twice give correlations of order one.
    """
    mean, residual, columns = dense(structure)
    valid = np.asarray(structure.valid)
    keys = jax.random.split(jax.random.key(7), 20_000)
    losses = np.asarray(jax.jit(jax.vmap(lambda key: simulate(structure, key)))(keys))[:, valid]
    white = np.linalg.solve(np.linalg.cholesky(residual + columns @ columns.T), (losses - mean).T)
    np.testing.assert_allclose(np.cov(white), np.eye(len(mean)), atol=0.06)


def test_residuals_undo_the_effects(structure):
    rng = np.random.default_rng(5)
    shared, run = rng.normal(size=(2, 2)), rng.normal(size=(4, 3))
    rest = rng.normal(size=structure.mean.shape)
    loss = np.array(structure.mean) + rest
    for r, size in enumerate(np.asarray(structure.size_of_run)):
        loss[r] += (np.asarray(structure.run_scale[r]) * run[r]) @ np.asarray(structure.run_shapes[r])
        own = np.asarray(structure.shared_scale[r]) * shared[size]
        for k, effect in enumerate(own):
            given_up = float(structure.exchange[k]) * np.asarray(structure.response[r])
            loss[r] += effect * (np.asarray(structure.shared_shapes[r, k]) - given_up)
    left = residuals(structure, jnp.asarray(loss), jnp.asarray(shared), jnp.asarray(run))
    np.testing.assert_allclose(left, rest, atol=1e-12)


BUNDLES = {
    "a run each": Bundles(
        runs=jnp.array([[0], [2], [1], [3]]), size=jnp.array([0, 0, 1, 1]), place=jnp.array([0, 2, 1, 3])
    ),
    "partly filled": Bundles(
        runs=jnp.array([[0, 2, -1], [1, -1, -1], [3, -1, -1]]), size=jnp.array([0, 1, 1]), place=jnp.array([0, 3, 1, 6])
    ),
}


@pytest.mark.parametrize("other", BUNDLES)
def test_how_runs_are_bundled_has_no_influence(structure, other):
    _, loss = observed(structure)
    rebundled = replace(structure, groups=(replace(structure.groups[0], bundles=BUNDLES[other]),))
    for one, two in zip(predict_left_out(structure, loss), predict_left_out(rebundled, loss), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9)
    for part in DIFFERENTIATED:
        (value, slope), (same_value, same_slope) = (
            jax.value_and_grad(lambda x, of=of, part=part: log_density(replace(of, **{part: x}), loss))(
                getattr(of, part)
            )
            for of in (structure, rebundled)
        )
        assert float(value) == pytest.approx(float(same_value), abs=1e-9)
        np.testing.assert_allclose(slope, same_slope, rtol=1e-7, atol=1e-8, err_msg=part)


@pytest.fixture
def single(structure):
    """The first observation of each run alone, one run without any; and the same where it is known that they are."""
    rows = slice(None), slice(None), slice(0, 2)
    cut = {name: getattr(structure, name)[rows] for name in ("run_shapes", "shared_shapes")}
    cut |= {name: getattr(structure, name)[:, :2] for name in ("mean", "sd", "autocorrelation", "response")}
    valid = jnp.array([[True, False], [True, False], [False, False], [True, False]])
    general = replace(structure, valid=valid, **cut)
    return general, replace(general, groups=(replace(general.groups[0], single=True),))


@pytest.mark.parametrize("few", [False, True])
def test_single_observations_have_the_dense_density_and_the_gradient_of_whole_runs(single, few, monkeypatch):
    """By effects, and by the covariance of the observations."""
    monkeypatch.setattr(likelihood, "is_few", lambda *_: few)
    assert_dense_density_and_gradients_of(*single, observations=slice(0, 1))


def test_single_observations_have_the_dense_conditional(single):
    assert_condition_draws_from(*single)


def test_few_observations_of_many_effects_are_taken_by_their_covariance():
    """Sixty final losses of ten sizes with a hundred effects each, with two curves; not with ten, or 3,000 of five."""

    def of(runs, sizes, effects, curves=0):
        of_runs = np.arange(runs + curves) % sizes
        groups = [Group.of(np.arange(curves, runs + curves), of_runs, sizes, single=True)]
        groups += [Group.of(np.arange(curves), of_runs, sizes)] if curves else []
        return groups, 64, Levels(p=effects, q=5, sizes=sizes, common=0.6)

    assert is_few(*of(60, 10, 100))
    assert is_few(*of(60, 10, 100, curves=2))
    assert not is_few(*of(60, 10, 100, curves=10))
    assert not is_few(*of(3000, 5, 100))


def test_few_single_observations_that_rounding_would_swallow_have_no_density(single, monkeypatch):
    monkeypatch.setattr(likelihood, "is_few", lambda *_: True)
    _, packed = single
    _, loss = observed(packed)
    assert float(log_density(replace(packed, mean=packed.mean + 1e10 * packed.sd), loss)) == -np.inf
    assert float(log_density(replace(packed, shared_scale=1e12 * packed.shared_scale), loss)) == -np.inf


def test_single_observations_of_runs_in_the_wrong_size_are_noticed(single):
    """A control: the list of runs is what says which effects they share."""
    _, packed = single
    _, loss = observed(packed)
    other = replace(packed, groups=(Group.of(np.arange(4), [0, 0, 1, 1], 2, single=True),))
    assert abs(float(density(other, loss)) - float(density(packed, loss))) > 1e-3


@pytest.fixture
def mixed(structure):
    """The first observation alone of two runs, beside a curve of each size; and the same where that is known."""
    valid = structure.valid & ((jnp.arange(7) == 0)[None] | jnp.array([[True], [False], [False], [True]]))
    general = replace(structure, valid=valid)
    lengths = np.asarray(valid).sum(axis=1)
    of_run = np.asarray(structure.size_of_run)
    curves, singles = Group.of(np.array([0, 3]), of_run, 2), Group.of(np.array([1, 2]), of_run, 2, single=True)
    assert list(lengths) == [7, 1, 1, 7]
    return general, replace(general, groups=(curves, singles))


@pytest.mark.parametrize("few", [False, True])
def test_curves_and_single_observations_have_the_dense_density_and_the_gradient_of_whole_runs(mixed, few, monkeypatch):
    """By effects, and by the covariance of the observations."""
    monkeypatch.setattr(likelihood, "is_few", lambda groups, *_: few and len(groups) > 1)
    assert_dense_density_and_gradients_of(*mixed)


def test_curves_and_single_observations_have_the_dense_conditional(mixed):
    assert_condition_draws_from(*mixed)


def test_what_is_left_out_of_curves_and_single_observations(mixed):
    general, apart = mixed
    _, loss = observed(general)
    for one, two in zip(predict_left_out(general, loss), predict_left_out(apart, loss), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((9, 9, 1, 9), [((0, 1, 2, 3), False)]),
        ((9, 1, 1, 9), [((0, 1, 2, 3), False)]),
        ((1, 1, 9, 1), [((2,), False), ((0, 1, 3), True)]),
        ((1, 1, 1, 1), [((0, 1, 2, 3), True)]),
    ],
)
def test_single_observations_are_apart_where_they_are_most(lengths, expected):
    groups = Group.apart(lengths, [0, 1, 0, 1], 2)
    assert [(tuple(map(int, group.runs)), group.single) for group in groups] == expected
    assert [list(map(int, group.size_of_run)) for group in groups] == [[k % 2 for k in runs] for runs, _ in expected]
