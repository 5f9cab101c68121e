"""The probabilistic model: priors, pooling over sizes, noise, discrepancy, and the ScalingModel that composes them."""

from bayeslr.model.design import (
    MEMORIES,
    Design,
    build_design,
    future_knots,
    measure_scale,
    memory_responses,
    size_labels,
)
from bayeslr.model.discrepancy import MIXED, PREFIX, Discrepancy
from bayeslr.model.noise import Noise
from bayeslr.model.pooling import Pooling, PoolingName, resolve_pooling
from bayeslr.model.scaling import ScalingModel

__all__ = [
    "MEMORIES",
    "MIXED",
    "PREFIX",
    "Design",
    "Discrepancy",
    "Noise",
    "Pooling",
    "PoolingName",
    "ScalingModel",
    "build_design",
    "future_knots",
    "measure_scale",
    "memory_responses",
    "resolve_pooling",
    "size_labels",
]
