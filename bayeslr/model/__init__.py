"""The probabilistic model: priors, pooling over sizes, noise, error models, and the ScalingModel that composes them."""

# first: it asks whether JAX was there before the library brought it
import bayeslr.laws  # noqa: F401

# isort: split
from bayeslr.model.curves import Composition, RunParts, find_blocks
from bayeslr.model.discrepancy import Discrepancy
from bayeslr.model.effects import MEMORIES, PREFIX, Block, ErrorModel, Exposure, NoDiscrepancy
from bayeslr.model.noise import Noise
from bayeslr.model.observations import Inputs, Observations, measure_scale, prepare
from bayeslr.model.planned import CurveParts, PlannedCurve, evaluate
from bayeslr.model.pooling import Pooling, PoolingName, resolve_pooling
from bayeslr.model.scaling import ScalingModel
from bayeslr.model.settings import ERROR_MODELS, LAWS, model_from_settings, model_settings

__all__ = [
    "ERROR_MODELS",
    "LAWS",
    "MEMORIES",
    "PREFIX",
    "Block",
    "Composition",
    "CurveParts",
    "Discrepancy",
    "ErrorModel",
    "Exposure",
    "Inputs",
    "NoDiscrepancy",
    "Noise",
    "Observations",
    "PlannedCurve",
    "Pooling",
    "PoolingName",
    "RunParts",
    "ScalingModel",
    "evaluate",
    "find_blocks",
    "measure_scale",
    "model_from_settings",
    "model_settings",
    "prepare",
    "resolve_pooling",
]
