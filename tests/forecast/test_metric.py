"""A link from loss to accuracy: truth found again, and bands of accuracy that hold it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bayeslr.errors import BayeslrError, ExtrapolationWarning
from bayeslr.forecast import fit_metric, predict
from bayeslr.schedules import wsd

PLAN = wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=500)


def truth(loss):
    return 0.25 + 0.5 / (1.0 + np.exp(6.0 * (loss - 2.95)))


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    loss = rng.uniform(2.6, 3.6, 40)
    return loss, truth(loss) + 0.008 * rng.standard_normal(40)


@pytest.fixture(scope="module")
def link(pairs):
    return fit_metric(*pairs, seed=0, num_samples=500)


def test_the_curve_and_the_error_are_found_again(link):
    losses = np.linspace(2.65, 3.5, 20)
    lower, upper = np.quantile(link.curve(losses), [0.01, 0.99], axis=0)
    assert ((lower <= truth(losses)) & (truth(losses) <= upper)).mean() >= 0.9
    assert float(np.median(link.draws["error"])) == pytest.approx(0.008, rel=0.35)
    table = link.to_dataframe()
    assert table.loc["floor", "lower"] < 0.25 < table.loc["floor", "upper"]
    assert link.warnings == ()
    assert len(repr(link)) < 120


def test_a_band_of_loss_becomes_one_of_accuracy(link, small_posterior):
    forecast = predict(small_posterior, {"wsd": PLAN}, seed=1)
    found = link.apply(forecast, seed=2)
    loss = forecast.final_loss(latent=True).iloc[0]
    row = found.final().loc["wsd"]
    assert row["lower"] < truth(loss["median"]) < row["upper"]
    # neither the loss alone nor the link alone is as uncertain
    alone = np.quantile(link.curve([loss["median"]])[:, 0], [0.05, 0.95])
    assert row["upper"] - row["lower"] > alone[1] - alone[0]
    assert row["upper"] - row["lower"] > abs(truth(loss["lower"]) - truth(loss["upper"]))
    assert json.loads(json.dumps(found.to_dict()))["final"]["wsd"]["step"] == 2000
    assert "only as good as the pairs" in found.sentences[-1]
    # what is said, returned and drawn has the probability that was asked for
    half = link.apply(forecast, seed=2, ci_prob=0.5)
    assert "(50% interval" in half.sentences[0]
    narrow = half.final().loc["wsd"]
    assert row["lower"] < narrow["lower"] < narrow["median"] == row["median"]
    assert len(found.to_dataframe()) == len(forecast.steps["wsd"])
    assert len(repr(found)) < 120


def test_beyond_the_pairs_it_says_so(small_posterior, link, pairs):
    high = replace(link, loss=pairs[0] + 0.5)
    with pytest.warns(ExtrapolationWarning, match="outside the"):
        found = high.apply(predict(small_posterior, {"wsd": PLAN}, seed=1, num_draws=200), seed=2)
    assert "guess" in found.warnings[-1]


@pytest.mark.parametrize(
    ("loss", "metric", "settings", "found"),
    [
        ([3.0, 2.9], [0.3, 0.4], {}, "at least 4"),
        ([3.0, 2.9, 2.8, 2.7], [0.3, 0.4, np.nan, 0.5], {}, "not finite"),
        ([3.0, 2.9, 2.8, 2.7], [0.3, 0.4, 45.0, 0.5], {}, "value 45"),
        ([3.0, 3.0, 3.0, 3.0], [0.3, 0.4, 0.4, 0.5], {}, "one loss"),
        ([3.0, 2.9, 2.8, 2.7], [0.5, 0.4, 0.3, 0.2], {}, "rises with the loss"),
        ([3.0, 2.9, 2.8, 2.7], [0.3, 0.4, 0.45, 0.5], {"floor": 2.0}, "floor is 2.0"),
    ],
)
def test_pairs_that_are_none_are_refused(loss, metric, settings, found):
    with pytest.raises(BayeslrError, match=found):
        fit_metric(loss, metric, seed=0, **settings)
