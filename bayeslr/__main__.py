"""``python -m bayeslr``: the command line."""

from bayeslr.cli import program

if __name__ == "__main__":
    program()
