"""Progress is shown where a person watches, and nowhere else."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tqdm
import tqdm.notebook

from bayeslr.inference import watched


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def alone(monkeypatch):
    for name in ("CI", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())


def in_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))


def bar(**settings):
    return watched.progress_bar(total=3, desc="fit", unit="draw", **settings)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("terminal", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_terminal_is_watched_and_a_pipe_is_not(monkeypatch, terminal, shown):
    monkeypatch.setattr(sys, "stderr", terminal())
    with bar() as one:
        one.update()
    assert ("fit" in sys.stderr.getvalue()) == shown


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", ["CI", "TQDM_DISABLE"])
def test_nobody_watches_continuous_integration(monkeypatch, name):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert watched.is_watched()
    monkeypatch.setenv(name, "1")
    assert not watched.is_watched()


@pytest.mark.usefixtures("alone")
def test_who_is_asked_decides(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with bar(progress=False) as one:
        one.update()
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with bar(progress=True) as one:
        one.update()
    assert "fit" in pipe.getvalue()


@pytest.mark.usefixtures("alone")
def test_a_notebook_without_widgets_has_a_plain_bar_and_no_warning(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    in_notebook(monkeypatch)
    monkeypatch.setattr(watched, "find_spec", lambda name: None)
    # warnings are errors here
    with bar() as one:
        assert type(one) is tqdm.tqdm
        assert not one.disable


@pytest.mark.parametrize(("first", "warns"), [("import numpyro", True), ("import bayeslr as bl; bl.fit", False)])
def test_a_notebook_without_widgets_gets_no_warning_from_what_is_imported(first, warns):
    """tqdm warns if it is imported in a kernel that cannot show its widgets, and NumPyro imports it."""
    pytest.importorskip("IPython")
    code = (
        "import sys, types, IPython\n"
        "IPython.get_ipython = lambda: types.SimpleNamespace(config={'IPKernelApp': 1}, kernel=1)\n"
        "sys.modules |= {'ipywidgets': None, 'ipykernel.zmqshell': types.ModuleType('zmqshell')}\n"
        f"{first}; print('loaded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "loaded"
    assert ("IProgress" in done.stderr) == warns


def test_a_process_without_stderr_watches_nothing():
    code = "import sys; sys.stderr = None; from bayeslr.inference import is_watched; print(is_watched())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "False"
