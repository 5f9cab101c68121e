"""The front page: short, its links lead somewhere, and its Python runs as it stands there."""

import re
from pathlib import Path

import pytest

import bayeslr as bl

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def test_it_is_short_and_its_links_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("https://")]
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.filterwarnings("ignore::bayeslr.errors.BayeslrWarning")
def test_its_lines_of_python_run(tmp_path, monkeypatch, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in block.splitlines() if line]) == 5
    fit = bl.fit
    # three runs that ship with the package stand in for the reader's, and the quick method for NUTS
    curves = bl.datasets.load("tiny_lm", where="size == '80k' and split == 'train'")
    monkeypatch.setattr(bl, "read_curves", lambda path: curves)
    monkeypatch.setattr(bl, "fit", lambda curves: fit(curves, method="laplace", num_samples=100))
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert any(verdict in shown for verdict in ("PASS", "REVIEW", "FAIL"))
    assert "wsd" in shown
