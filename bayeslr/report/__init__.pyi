from . import answers as answers
from . import html as html
from . import plots as plots
from . import tables as tables
from .outlook import outlook as outlook
