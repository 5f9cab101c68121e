"""A model is its settings: plain values that bring it back."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayeslr.errors import ModelError
from bayeslr.laws import MixedMemoryLaw
from bayeslr.model import (
    ERROR_MODELS,
    LAWS,
    Discrepancy,
    NoDiscrepancy,
    Noise,
    ScalingModel,
    model_from_settings,
    model_settings,
)

positive = st.floats(1e-4, 10.0)
discrepancies = st.just(NoDiscrepancy()) | st.builds(
    Discrepancy,
    common=st.floats(0.0, 0.99),
    **{field.name: positive for field in fields(Discrepancy) if field.name != "common"},
)
laws = st.builds(
    lambda kind, warmup: kind(warmup=warmup),
    st.sampled_from(list(LAWS.values())),
    st.sampled_from(["as_logged", "peak"]),
)
texts = st.builds("LogNormal({}, {})".format, st.floats(-5.0, 5.0), positive) | st.just(
    "TruncatedNormal(1, 2, low=0.5)"
)


@st.composite
def models(draw):
    law = draw(laws)
    names = ["alpha", "tau", "noise", "L0", "level", "drop_sd", "level_gap", law.reported_names[-1]]
    # the last one that a mixture reports is a share
    priors = st.dictionaries(st.sampled_from(names[: -1 if isinstance(law, MixedMemoryLaw) else None]), texts)
    return ScalingModel(
        law=law,
        pooling=draw(st.sampled_from(["auto", "none", "complete", "partial", "trend"])),
        noise=draw(st.builds(Noise, df=st.none() | st.floats(2.5, 30.0), center=positive, spread=positive)),
        discrepancy=draw(discrepancies),
        priors=draw(priors),
    )


@settings(max_examples=50, deadline=None)
@given(model=models())
def test_any_model_comes_back_from_its_settings(model):
    kept = json.dumps(model_settings(model))
    again = model_from_settings(json.loads(kept))
    assert json.dumps(model_settings(again)) == kept
    assert again == model
    assert (again.law, again.noise, again.discrepancy, again.pooling) == (
        model.law,
        model.noise,
        model.discrepancy,
        model.pooling,
    )
    assert again.priors.keys() == model.priors.keys()


def test_laws_and_error_models_are_listed_by_their_names():
    assert {name: kind().name for name, kind in (LAWS | ERROR_MODELS).items()} == {n: n for n in LAWS | ERROR_MODELS}
    assert model_settings(ScalingModel())["law"]["name"] == "effective-rate"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"law": {"name": "cubic", "warmup": "as_logged"}},
            r"^law: found 'cubic'; allowed: effective-rate, annealing, mixed-memory, multi-power$",
        ),
        ({"law": {"name": "annealing", "warm": "peak"}}, r"^law: found warm; allowed: warmup$"),
        ({"discrepancy": {"name": "splines"}}, r"^discrepancy: found 'splines'; allowed: structured, none$"),
        ({"discrepancy": {"name": "none", "bend": 0.1}}, r"^discrepancy: found bend; allowed: no settings$"),
        ({"noise": {"level": 0.1}}, r"^noise: found level; allowed: [^\n]*center[^\n]*$"),
        ({"covariates": []}, r"^model: found covariates; allowed: law, pooling, noise, discrepancy, priors$"),
    ],
)
def test_another_law_is_one_line(change, message):
    with pytest.raises(ModelError, match=message):
        model_from_settings(model_settings(ScalingModel()) | change)


def test_resolving_chooses_the_pooling_and_keeps_the_rest():
    model = ScalingModel(priors={"alpha": "LogNormal(-0.7, 0.4)"})
    resolved = model.resolved((1e7, 1e8))
    assert resolved.pooling == "trend"
    assert resolved.noise.pooling == "none"
    assert resolved.law.rate.weight_decay == "given"
    unresolved = {"pooling": "auto", "noise": model.noise.settings(), "law": model_settings(model)["law"]}
    assert model_settings(resolved) | unresolved == model_settings(model)
    assert replace(resolved, pooling="auto", noise=model.noise, law=model.law) == model
