"""The notebook of the first ten minutes, executed: pictures and tables in it, and nothing on stderr."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
MOST_CELLS = 12


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    # as at a person's desk, but without a bar that moves
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"} | {"TQDM_DISABLE": "1"}
    client = NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    return notebook


def kinds(cell):
    """What a cell shows: its types of data, and the streams that it wrote to."""
    return {kind for output in cell.get("outputs", ()) for kind in output.get("data", {output.get("name"): 0})}


def test_it_is_short_and_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) <= MOST_CELLS
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_answer_shows_itself(executed):
    shown = {cell.source: kinds(cell) for cell in executed.cells if cell.cell_type == "code"}
    for source, found in shown.items():
        assert "stderr" not in found, source
        last = source.splitlines()[-1]
        if "plot_" in last:
            assert "image/png" in found, source
        elif last[0] != " ":
            assert "text/html" in found, source
    assert sum("image/png" in found for found in shown.values()) >= 4
