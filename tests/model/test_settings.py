"""A model is its settings: plain values that bring it back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslr.errors import ModelError
from bayeslr.laws import AnnealingLaw
from bayeslr.model import Discrepancy, Noise, ScalingModel

positive = st.floats(1e-4, 10.0)
discrepancies = st.builds(
    Discrepancy,
    enabled=st.booleans(),
    common=st.floats(0.0, 0.99),
    area_memory=st.floats(0.01, 0.99),
    **{name: positive for name in Discrepancy().settings() if name not in ("enabled", "common", "area_memory")},
)
priors = st.dictionaries(
    st.sampled_from(["alpha", "tau", "noise", "decay", "L0", "level", "drop_sd", "level_gap"]),
    st.builds("LogNormal({}, {})".format, st.floats(-5.0, 5.0), positive) | st.just("TruncatedNormal(1, 2, low=0.5)"),
)
models = st.builds(
    ScalingModel,
    law=st.builds(AnnealingLaw, warmup=st.sampled_from(["as_logged", "peak"])),
    pooling=st.sampled_from(["auto", "none", "complete", "partial", "trend"]),
    noise=st.builds(Noise, df=st.none() | st.floats(2.5, 30.0), center=positive, spread=positive),
    discrepancy=discrepancies,
    priors=priors,
)


@settings(max_examples=50, deadline=None)
@given(model=models)
def test_any_model_comes_back_from_its_settings(model):
    kept = json.dumps(model.settings())
    again = model_from_settings(json.loads(kept))
    assert json.dumps(again.settings()) == kept
    assert (again.law, again.noise, again.discrepancy, again.pooling) == (
        model.law,
        model.noise,
        model.discrepancy,
        model.pooling,
    )
    assert again.priors.keys() == model.priors.keys()


def test_another_law_is_one_line():
    kept = ScalingModel().settings() | {"law": "multi-power"}
    with pytest.raises(ModelError, match=r"^law: found 'multi-power'; allowed: 'annealing'$"):
        model_from_settings(kept)


def test_resolving_chooses_the_pooling_and_keeps_the_rest():
    model = ScalingModel(priors={"alpha": "LogNormal(-0.7, 0.4)"})
    resolved = model.resolved((1e7, 1e8))
    assert resolved.pooling == "trend"
    assert resolved.settings() | {"pooling": "auto"} == model.settings()
