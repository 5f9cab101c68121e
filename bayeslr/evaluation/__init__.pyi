from .scores import RunScore as RunScore
from .scores import score_run as score_run
