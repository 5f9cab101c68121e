"""The command line: ``bayeslr COMMAND``, or ``python -m bayeslr COMMAND``.

Results go to stdout; progress, warnings and errors go to stderr. The exit code is 0, 1 where ``check`` says FAIL, and
2 where the input is wrong: then stderr has one line that says what was found, where, and what is allowed, and no file
was written. An interrupted command ends with 130 within two seconds. Libraries are loaded by the command that needs
them, so that ``--help`` is quick.
"""

from bayeslr.cli.main import main, program

__all__ = ["main", "program"]
