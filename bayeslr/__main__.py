"""``python -m bayeslr``: the command line."""

import sys

from bayeslr.cli import main

if __name__ == "__main__":
    sys.exit(main())
