"""The checker of the site finds what it is there to find."""

import importlib.util
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
GOOD = '<!doctype html><meta name="viewport" content="width=device-width"><p>A page with some words.</p>'
BAD = {
    "noisy.html": ('<script>console.error("broken")</script>', "broken"),
    "curious.html": (
        '<script>new Image().src = "http://127.0.0.1:9/x.png"</script>',
        "asks for http://127.0.0.1:9/x.png",
    ),
    "wide.html": ('<div style="width: 700px">wide</div>', "wide on a phone"),
    "empty.html": (f"<script>document.body.append({'word ' * 40!r})</script>", "words in the file"),
}


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("check_site", Path(__file__).with_name("check_site.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_a_page_loads(checker, tmp_path):
    (tmp_path / "index.html").write_text(GOOD + '<img src="here.png"><a href="https://example.org">elsewhere</a>')
    (tmp_path / "here.png").write_bytes(b"")
    assert checker.problems_of_files(tmp_path) == []
    (tmp_path / "here.png").unlink()
    (tmp_path / "other.html").write_text('<script src="https://cdn.example.org/x.js"></script>')
    (tmp_path / "site.css").write_text("@import url(https://example.org/fonts.css);")
    found = " ".join(checker.problems_of_files(tmp_path))
    assert "here.png is missing" in found
    assert "other.html: loads https://cdn.example.org/x.js" in found
    assert "site.css: loads https://example.org/fonts.css" in found


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_what_a_browser_says(checker, tmp_path):
    (tmp_path / "index.html").write_text(GOOD)
    assert checker.problems_in_browser(tmp_path, CHROMIUM) == []
    (tmp_path / "index.html").unlink()
    for name, (text, _) in BAD.items():
        (tmp_path / name).write_text(GOOD + text)
    found = checker.problems_in_browser(tmp_path, CHROMIUM)
    for name, (_, problem) in BAD.items():
        assert any(line.startswith(f"{name}: ") and problem in line for line in found), (name, found)
