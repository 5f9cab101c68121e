"""The probabilistic model: priors, pooling over sizes, noise, discrepancy, and the ScalingModel that composes them."""

from bayeslr.model.design import Design, build_design, measure_scale, size_labels
from bayeslr.model.discrepancy import Discrepancy
from bayeslr.model.noise import Noise
from bayeslr.model.pooling import Pooling, PoolingName, resolve_pooling
from bayeslr.model.scaling import ScalingModel

__all__ = [
    "Design",
    "Discrepancy",
    "Noise",
    "Pooling",
    "PoolingName",
    "ScalingModel",
    "build_design",
    "measure_scale",
    "resolve_pooling",
    "size_labels",
]
