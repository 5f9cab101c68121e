"""ArviZ takes ``posterior.tree`` as it is, and what it is given means what ArviZ takes it for."""

import warnings

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy import stats

import bayeslr as bl
from bayeslr.curves import CurveSet
from bayeslr.errors import PosteriorError
from bayeslr.model import NoDiscrepancy, Noise, ScalingModel
from bayeslr.model.left_out import predict_left_out
from bayeslr.model.likelihood import log_density

DRAWS = ("plot_trace", "plot_rank", "plot_pair", "plot_forest", "plot_ess", "plot_energy")
LONGER = ("plot_trace_dist", "plot_rank_dist")
PREDICTIVE = ("plot_ppc_dist", "plot_prior_posterior", "plot_loo_pit")
SHOWN = {"L0", "A", "alpha", "C", "decay", "noise"}


@pytest.fixture(autouse=True)
def no_window():
    with mpl.rc_context({"backend": "agg"}):
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def whole(small_posterior):
    return small_posterior.with_predictive(seed=3)


def drawn(picture, path):
    """Whether something is on a picture."""
    picture.savefig(path)
    image = plt.imread(path)
    return len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 10


@pytest.mark.parametrize("name", [*DRAWS, *(pytest.param(name, marks=pytest.mark.slow) for name in LONGER)])
def test_plots_of_draws_take_the_tree(small_posterior, name, tmp_path):
    # a pair of variables is a cloud of points, and all of them take long to draw
    tree = small_posterior.tree.sel(draw=slice(0, 99))
    assert drawn(getattr(az, name)(tree, backend="matplotlib"), tmp_path / "p.png")


@pytest.mark.parametrize("name", PREDICTIVE)
def test_plots_of_predictions_take_the_tree(whole, name, tmp_path):
    assert drawn(getattr(az, name)(whole.tree, backend="matplotlib"), tmp_path / "p.png")


def test_the_summary_has_the_law_of_the_paper(small_posterior):
    table = az.summary(small_posterior.tree, round_to="none")
    assert {name.removesuffix("[small]") for name in table.index} == SHOWN
    assert table.loc["alpha[small]", "mean"] == pytest.approx(small_posterior.sample()["alpha"].mean())


def test_all_draws_are_in_one_of_two_groups(small_posterior):
    shown, rest = (set(small_posterior.tree[name].data_vars) for name in ("posterior", "sampled"))
    assert shown == SHOWN
    assert rest >= {"level", "tau", "discrepancy_bend", "noise_power"}
    assert not shown & rest
    assert set(small_posterior.draws) == shown | rest


def test_observations_have_names(small_posterior, small_curves):
    observed = small_posterior.tree["observed_data"]["loss"]
    for curve in small_curves:
        of_run = observed.values[observed["run"].values == curve.name]
        np.testing.assert_array_equal(of_run, curve.loss)
        np.testing.assert_array_equal(observed["step"].values[observed["run"].values == curve.name], curve.steps)


def test_new_groups_are_labelled_as_the_old(small_posterior, whole):
    assert set(whole.tree.children) - set(small_posterior.tree.children) == {
        *("prior", "prior_predictive", "posterior_predictive", "log_likelihood")
    }
    for name in ("prior_predictive", "posterior_predictive", "log_likelihood"):
        group = whole.tree[name]["loss"]
        for label in ("run", "step"):
            np.testing.assert_array_equal(group[label], whole.tree["observed_data"][label])
        assert np.isfinite(group).all()
    assert set(whole.tree["prior"].data_vars) == SHOWN
    assert dict(whole.tree["log_likelihood"].sizes) == dict(whole.tree["posterior_predictive"].sizes)


def test_the_seed_decides(small_posterior, whole):
    again, other = (small_posterior.with_predictive(seed=seed).tree for seed in (3, 4))
    for name in ("prior", "posterior_predictive"):
        assert again[name].to_dataset().equals(whole.tree[name].to_dataset())
        assert not other[name].to_dataset().equals(whole.tree[name].to_dataset())


def test_left_out_points_are_predicted(whole):
    """The model that made the fit predicts its points: PIT values are near uniform, and weights fail at one at most.

    The first loss after the sudden drop alone says that these curves have a single memory, which the prior does not
    expect: without it, the posterior is another.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = az.loo(whole.tree, pointwise=True)
    failed = found.pareto_k > found.good_k
    assert failed.sum() <= 1
    assert set(zip(failed["run"].values[failed], failed["step"].values[failed], strict=True)) <= {("drops", 1620)}
    assert found.n_data_points == whole.tree["observed_data"].sizes["obs"]
    pit = az.loo_pit(whole.tree)["loss"].to_numpy()
    assert stats.kstest(pit, "uniform").pvalue > 1e-4


def test_a_file_keeps_what_was_fitted(whole, small_posterior, tmp_path):
    loaded = bl.load_posterior(whole.save(tmp_path / "p.nc"))
    assert set(loaded.tree.children) == set(small_posterior.tree.children)
    assert loaded.tree["observed_data"]["loss"].equals(small_posterior.tree["observed_data"]["loss"])
    assert loaded.runs == small_posterior.runs


def test_student_noise_is_refused(small_posterior):
    other = bl.Posterior(
        tree=small_posterior.tree,
        curves=small_posterior.curves,
        model=ScalingModel(noise=Noise(df=4.0)),
        settings=small_posterior.settings,
    )
    with pytest.raises(PosteriorError, match=r"^with_predictive: the noise is Student-t \(df=4\)[^\n]*$"):
        other.with_predictive()


def dense(structure, count):
    """Mean and covariance of all losses, written out from the description of :mod:`bayeslr.model.likelihood`."""
    runs, width = structure.mean.shape
    covariance = np.zeros((runs * width, runs * width))
    shared = structure.shared_shapes - structure.exchange[None, :, None] * structure.response[:, None]
    for r in range(runs):
        at = slice(r * width, (r + 1) * width)
        own = structure.run_scale[r][:, None] * structure.run_shapes[r]
        covariance[at, at] += own.T @ own
        kept = np.ones((width, width))
        for i in range(width):
            for j in range(i):
                kept[i, j] = kept[j, i] = np.prod(structure.autocorrelation[r][j + 1 : i + 1])
        covariance[at, at] += structure.sd[r][:, None] * kept * structure.sd[r][None]
        for other in range(runs):
            same = structure.size_of_run[r] == structure.size_of_run[other]
            share = 1.0 if same else structure.common
            one, two = (structure.shared_scale[k][:, None] * shared[k] for k in (r, other))
            covariance[at, other * width : (other + 1) * width] += share * one.T @ two
    keep = np.ravel(structure.valid)
    return np.ravel(structure.mean)[keep][:count], covariance[np.ix_(keep, keep)]


@pytest.mark.parametrize("sizes", [("a", "b", "a"), pytest.param(("a", "a", "a"), marks=pytest.mark.slow)])
@pytest.mark.parametrize("errors", ["default", pytest.param("none", marks=pytest.mark.slow)])
def test_left_out_points_against_the_dense_normal(small_curves, small_posterior, sizes, errors):
    """Of a point given all others, the Schur complement of the dense covariance says mean and variance."""
    curves = []
    for k, (curve, size) in enumerate(zip(small_curves, sizes, strict=True)):
        keep = np.arange(len(curve)) % (6 + 2 * k) == 1
        curves.append(
            bl.LossCurve(
                name=curve.name, steps=curve.steps[keep], loss=curve.loss[keep], schedule=curve.schedule, size=size
            )
        )
    curves = CurveSet(curves=tuple(curves))
    model = (
        ScalingModel(pooling="none")
        if errors == "default"
        else ScalingModel(pooling="none", discrepancy=NoDiscrepancy())
    )
    observations, _ = model.observations(curves, model.scale(curves))
    count = len(set(sizes))
    values = {
        name: np.repeat(value[0], count) if name in model.per_size else value[0]
        for name, value in small_posterior.sample(num_draws=1).items()
        if name in model.sites
    }
    structure = model.structure(observations, values)
    mean, sd = (np.asarray(part)[observations.valid] for part in predict_left_out(structure, observations.loss))
    loss = np.asarray(observations.loss)[observations.valid]
    center, covariance = dense(structure, loss.size)
    whole = stats.multivariate_normal(center, covariance, allow_singular=False).logpdf(loss)
    assert float(log_density(structure, observations.loss)) == pytest.approx(whole, rel=1e-8)
    for i in range(loss.size):
        rest = np.arange(loss.size) != i
        gain = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, i])
        assert mean[i] == pytest.approx(center[i] + gain @ (loss - center)[rest], abs=1e-9)
        assert sd[i] ** 2 == pytest.approx(covariance[i, i] - gain @ covariance[rest, i], rel=1e-6)
