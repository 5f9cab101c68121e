from . import answers as answers
from . import demo as demo
from . import plots as plots
from . import tables as tables
