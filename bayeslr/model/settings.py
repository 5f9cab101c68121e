"""A model as JSON-ready values and back: what a posterior file keeps of it.

A file can rebuild the laws and error models that ship with the library, nothing else: it names no code.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bayeslr.errors import ModelError
from bayeslr.laws import (
    AnnealingLaw,
    EffectiveRateLaw,
    IdentityRate,
    Law,
    MixedMemoryLaw,
    MultiPowerLaw,
    PowerRate,
    RateMap,
    WeightNormRate,
)
from bayeslr.model.discrepancy import Discrepancy
from bayeslr.model.effects import ErrorModel, NoDiscrepancy
from bayeslr.model.noise import Noise
from bayeslr.model.priors import prior_text
from bayeslr.model.scaling import ScalingModel

__all__ = ["ERROR_MODELS", "LAWS", "RATES", "model_from_settings", "model_settings"]

LAWS: dict[str, type[Law]] = {
    "effective-rate": EffectiveRateLaw,
    "annealing": AnnealingLaw,
    "mixed-memory": MixedMemoryLaw,
    "multi-power": MultiPowerLaw,
}
"""The laws that ship with the library, by name."""

RATES: dict[str, type[RateMap]] = {"identity": IdentityRate, "power": PowerRate, "weight-norm": WeightNormRate}
"""The maps from rate to effective rate, by name."""

ERROR_MODELS: dict[str, type[ErrorModel]] = {"structured": Discrepancy, "none": NoDiscrepancy}
"""The error models that ship with the library, by name."""


def model_settings(model: ScalingModel) -> dict[str, Any]:
    """Return everything that defines a model as JSON-ready values.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    dict
        ``law, pooling, noise, discrepancy, priors``.

    Raises
    ------
    ModelError
        If the law or the error model is not one that ships with the library, or a prior cannot be written as text.
    """
    return {
        "law": _named(model.law, "law", LAWS),
        "pooling": model.pooling,
        "noise": _fields(model.noise),
        "discrepancy": _named(model.discrepancy, "discrepancy", ERROR_MODELS),
        "priors": {name: prior_text(prior, name) for name, prior in model.replaced.items()},
    }


def model_from_settings(settings: Mapping[str, Any]) -> ScalingModel:
    """Rebuild a model from :func:`model_settings`.

    Parameters
    ----------
    settings
        The values.

    Returns
    -------
    ScalingModel
        The model.

    Raises
    ------
    ModelError
        If the settings name a law, an error model or a field that this version does not have.
    """
    unknown = set(settings) - {"law", "pooling", "noise", "discrepancy", "priors"}
    if unknown:
        raise ModelError(
            f"model: found {', '.join(sorted(unknown))}; allowed: law, pooling, noise, discrepancy, priors"
        )
    return ScalingModel(
        law=_built(settings["law"], "law", LAWS),
        pooling=settings["pooling"],
        noise=_filled(Noise, settings["noise"], "noise"),
        discrepancy=_built(settings["discrepancy"], "discrepancy", ERROR_MODELS),
        priors={str(name): str(prior) for name, prior in settings["priors"].items()},
    )


def _fields(part: Any) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in fields(part)}


def _named(part: Law | ErrorModel | RateMap, what: str, known: Mapping[str, type[Any]]) -> dict[str, Any]:
    # a subclass has the name of its base, but is something else
    if type(part) not in known.values():
        raise ModelError(
            f"{what}: {type(part).__name__} is not part of the library, so that no file can rebuild it; allowed in a "
            f"file: {', '.join(kind.__name__ for kind in known.values())}"
        )
    rate = {"rate": _named(part.rate, "rate", RATES)} if isinstance(part, EffectiveRateLaw) else {}
    return {"name": part.name, **_fields(part), **rate}


def _built[T](settings: Mapping[str, Any], what: str, known: Mapping[str, type[T]]) -> T:
    rest = dict(settings)
    name = rest.pop("name")
    if name not in known:
        raise ModelError(f"{what}: found {name!r}; allowed: {', '.join(known)}")
    if "rate" in rest:
        rest["rate"] = _built(rest["rate"], "rate", RATES)
    return _filled(known[name], rest, what)


def _filled[T](kind: type[T], values: Mapping[str, Any], what: str) -> T:
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # all of these are dataclasses
    wrong = [name for name in values if name not in allowed]
    if wrong:
        raise ModelError(f"{what}: found {', '.join(wrong)}; allowed: {', '.join(allowed) or 'no settings'}")
    return kind(**values)
