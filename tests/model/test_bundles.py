"""Bundles of runs against plain loops over them."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayeslr.model.bundles import Bundles

SIZES_OF_RUNS = {
    "one size": [0, 0, 0],
    "equal": [0, 1, 0, 1, 1, 0],
    "uneven": [2] * 40 + [0, 1, 1, 3],
    "a size without runs": [0, 2, 2],
}


@pytest.fixture(params=SIZES_OF_RUNS)
def bundled(request):
    size_of_run = np.array(SIZES_OF_RUNS[request.param])
    sizes = int(size_of_run.max()) + 1
    return size_of_run, sizes, Bundles.of(size_of_run, sizes)


def test_every_run_is_in_one_bundle_of_its_size(bundled):
    size_of_run, sizes, bundles = bundled
    listed = np.asarray(bundles.runs)
    assert sorted(listed[listed >= 0]) == list(range(len(size_of_run)))
    for runs, size in zip(listed, np.asarray(bundles.size), strict=True):
        assert np.all(size_of_run[runs[runs >= 0]] == size)
    assert list(bundles.size) == sorted(bundles.size)
    assert set(np.asarray(bundles.size)) == set(range(sizes))


def test_products_of_bundles_add_up_to_those_of_sizes(bundled):
    size_of_run, sizes, bundles = bundled
    rows = np.random.default_rng(0).normal(size=(len(size_of_run), 5, 2))
    gathered = bundles.gather(jnp.asarray(rows))
    found = bundles.add_up(jnp.swapaxes(gathered, 1, 2) @ gathered, sizes)
    expected = np.zeros((sizes, 2, 2))
    for row, size in zip(rows, size_of_run, strict=True):
        expected[size] += row.T @ row
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_what_is_gathered_is_scattered_back(bundled):
    size_of_run, sizes, bundles = bundled
    rows = jnp.asarray(np.random.default_rng(1).normal(size=(len(size_of_run), 5, 2)))
    np.testing.assert_array_equal(bundles.scatter(bundles.gather(rows), 5), rows)
    of_size = jnp.arange(float(sizes))
    np.testing.assert_array_equal(bundles.spread_out(of_size), of_size[bundles.size])


def test_a_few_runs_of_other_sizes_do_not_blow_up_the_table():
    """Of 100 runs of one size and one of each of 20 others, a row a size would hold 2,100 places."""
    bundles = Bundles.of([0] * 100 + list(range(1, 21)), 21)
    assert bundles.runs.size <= 2 * 120
