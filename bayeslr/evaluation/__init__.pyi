from .sbc import Calibration as Calibration
from .sbc import calibrate as calibrate
from .scores import RunScore as RunScore
from .scores import score_run as score_run
