"""Checks of the built site: ``python tests/site/check_site.py docs/_build/html [--browser]``.

Nothing that a page loads may come from another host, every picture must be there, and no executed cell may have failed.
With ``--browser`` each page is also opened in Chromium: no message on the console, and scripts bring no text that a
reader without JavaScript would miss.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset", "object": "data"}
MOST_CELLS = 12
CHROMIUM = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0"),
]


class Loads(HTMLParser):
    """What a page loads by itself, and its text."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.text = []
        self.skipping = 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        address = values.get(LOADED.get(tag, ""))
        if address and not (tag == "link" and values.get("rel") in ("canonical", "next", "prev", "index", "search")):
            self.found.append(address)
        self.skipping += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.skipping -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.skipping and data.strip():
            self.text.append(data.strip())


def problems_of_files(site):
    """Return what is wrong in the files."""
    found = []
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        loads = Loads()
        loads.feed(text)
        for address in loads.found:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                found.append(f"{page.relative_to(site)}: loads {address}")
            elif not (page.parent / unquote(parts.path)).exists():
                found.append(f"{page.relative_to(site)}: {address} is missing")
        if "Traceback (most recent call last)" in text:
            found.append(f"{page.relative_to(site)}: shows a traceback")
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import)\s*['\"]?(https?:[^'\")\s]+|//[^'\")\s]+)", sheet.read_text())
        found += [f"{sheet.relative_to(site)}: loads {address}" for address in addresses]
    return found


def problems_of_notebook(site, source):
    """Return what is wrong with the executed notebook: it has at most twelve cells, and all of its pictures."""
    cells = [cell for cell in json.loads(source.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    drawn = sum("plot_" in "".join(cell["source"]) for cell in cells)
    page = (site / "notebook.html").read_text(encoding="utf-8")
    shown = page.count('<img alt="../_images/') + page.count('<img alt="_images/')
    found = [] if len(cells) <= MOST_CELLS else [f"{source.name}: {len(cells)} cells; at most {MOST_CELLS} wanted"]
    found += [f"{source.name}: outputs are kept in it" for cell in cells if cell["outputs"]][:1]
    return found if shown >= drawn > 0 else [*found, f"notebook.html: {shown} pictures of {drawn}"]


def opened(chromium, page):
    """Open a page in a fresh browser; return its document and what was written to the console."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [chromium, *CHROMIUM, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    text = Loads()
    text.feed(done.stdout)
    return " ".join(text.text), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def problems_in_browser(site, chromium):
    """Return what a browser says of each page."""
    found = []
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site)
        text, console = opened(chromium, page)
        found += [f"{name}: {line}" for line in console]
        if page.name == "search.html":
            continue
        file = Loads()
        file.feed(page.read_text(encoding="utf-8"))
        before, after = (len(words.split()) for words in (" ".join(file.text), text))
        # scripts add labels of buttons, and neither bring nor remove sentences
        if abs(before - after) > 25 + 0.01 * after:
            found.append(f"{name}: {before} words in the file, {after} in the browser")
    return found


def main():
    site = Path(sys.argv[1]).resolve()
    pages = len(list(site.rglob("*.html")))
    found = [*problems_of_files(site), *problems_of_notebook(site, Path(__file__).parents[2] / "docs/notebook.ipynb")]
    browser = "--browser" in sys.argv[2:]
    if browser:
        chromium = shutil.which("chromium")
        found += problems_in_browser(site, chromium) if chromium else ["chromium is not installed"]
    print("\n".join([*found, f"{pages} pages, {len(found)} problems, browser: {'yes' if browser else 'no'}"]))
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
