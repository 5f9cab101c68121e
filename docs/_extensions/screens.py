"""The directive ``screen``: runs commands of the library at the build and shows what a terminal of 80 columns shows."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import fill
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Screen(SphinxDirective):
    """Run each line that begins with ``$``, and show it with what it prints; all screens of a page share a folder.

    Where code cells are not executed (``nb_execution_mode`` is ``"off"``), the commands are shown without running them.

    Options: ``code``, the exit code that is expected (default 0), and ``hide``, to run without showing.
    """

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"code": directives.nonnegative_int, "hide": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the screen as a literal block."""
        folders = self.env.temp_data.setdefault("screen_folder", {})
        if self.env.docname not in folders:
            folders[self.env.docname] = tempfile.mkdtemp(prefix="screen-")
        folder = Path(folders[self.env.docname])
        environment = os.environ | {"COLUMNS": "80", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        # the reader has installed the command, however the site was built
        environment.pop("UV_RUN_RECURSION_DEPTH", None)
        shown = []
        for command in _commands(list(self.content)):
            if self.config.nb_execution_mode == "off":
                shown.append(f"$ {command}")
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=folder,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode != self.options.get("code", 0):
                raise self.error(f"{command}: exit code {done.returncode}\n{done.stdout}")
            shown.append(f"$ {command}\n{_folded(done.stdout)}".rstrip())
        if "hide" in self.options:
            return []
        block = nodes.literal_block("\n\n".join(shown), "\n\n".join(shown), language="console", classes=["screen"])
        return [block]


def _folded(text: str) -> str:
    """Fold messages as a terminal gets them; a pipe gets one line for each."""
    return "\n".join(
        fill(line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        if len(line) > 80 and not line.startswith(" ")
        else line
        for line in text.splitlines()
    )


def _commands(lines: list[str]) -> list[str]:
    """Return the commands; a line that ends with a backslash goes on."""
    found: list[str] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(line[2:])
        elif line.strip():
            found[-1] += "\n" + line
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("screen", Screen)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
