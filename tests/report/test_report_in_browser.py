"""The report in a browser: what it asks for, how wide it is on a phone, and that it prints."""

import json
import re
import shutil
import subprocess
from html import escape

import pytest

import bayeslr as bl

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update")
COMMON = {"peak_lr": 1e-3, "warmup_steps": 100, "total_steps": 2000}
FAMILY = "wsd(peak_lr=1e-3, warmup_steps=100, total_steps=2000, decay_steps=100..1900)"
PHONE = 360

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]


@pytest.fixture(scope="module")
def page(small_posterior, tmp_path_factory):
    """A report with names and specs as long as people make them."""
    plans = {
        "wsd": bl.schedules.wsd(decay_steps=500, **COMMON),
        "cosine_with_a_name_that_is_as_long_as_those_of_sweeps": bl.schedules.cosine(**COMMON),
    }
    made = bl.report(
        small_posterior,
        plans,
        seed=1,
        num_draws=400,
        decisions=[bl.optimize(small_posterior, FAMILY, seed=1, points=7)],
        measured=[small_posterior.curves["constant"]],
        commands=["bayeslr report posterior.nc --schedule " + FAMILY],
    )
    return made.save(tmp_path_factory.mktemp("page") / "report.html")


def chromium(profile, *arguments):
    done = subprocess.run(
        [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def asked_for(page, folder):
    """Addresses that the browser asked for on behalf of a page, and what it wrote to the console."""
    log = folder / "net.json"
    _, console = chromium(folder / "profile", f"--log-net-log={log}", "--dump-dom", page.as_uri())
    entries = json.loads(log.read_text(encoding="utf-8"))
    kind = entries["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [entry.get("params", {}) for entry in entries["events"] if entry["type"] == kind]
    found = {params["url"] for params in asked if "url" in params}
    # the browser itself asks its maker for news, whatever the page
    return {url for url in found if not re.search(r"google(apis)?\.com|gvt1\.com", url)}, console


def test_it_asks_for_its_own_file_alone(page, tmp_path):
    found, console = asked_for(page, tmp_path)
    assert console == []
    assert found <= {page.as_uri()}


def test_the_browser_tells_of_a_page_that_asks_for_more(tmp_path):
    """The check can fail: a page with a picture from elsewhere."""
    other = tmp_path / "other.html"
    other.write_text('<img src="http://127.0.0.1:9/x.png">')
    found, _ = asked_for(other, tmp_path)
    assert "http://127.0.0.1:9/x.png" in found


def test_nothing_is_wider_than_a_phone(page, tmp_path):
    """Wide tables move inside their own frames; the page does not move sideways."""
    frame = tmp_path / "phone.html"
    frame.write_text(
        f'<iframe style="border: 0; width: {PHONE}px; height: 800px" srcdoc="{escape(page.read_text())}"></iframe>'
        "<script>onload = () => { document.body.dataset.width = "
        "document.querySelector('iframe').contentDocument.documentElement.scrollWidth; }</script>",
        encoding="utf-8",
    )
    document, _ = chromium(tmp_path / "profile", "--dump-dom", frame.as_uri())
    assert int(re.search(r'data-width="(\d+)"', document)[1]) <= PHONE


def test_it_prints(page, tmp_path):
    printed = tmp_path / "report.pdf"
    chromium(tmp_path / "profile", f"--print-to-pdf={printed}", "--no-pdf-header-footer", page.as_uri())
    data = printed.read_bytes()
    assert data.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
