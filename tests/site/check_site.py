"""Checks of the built site: ``python tests/site/check_site.py docs/_build/html [--browser]``.

Nothing that a page loads may come from another host, every picture must be there, and no executed cell may have failed.
With ``--browser`` each page is also opened in Chromium, as wide as a phone and as a desk: no message on the console, no
request to another host, nothing that makes the page move sideways, and scripts bring no text that a reader without
JavaScript would miss.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "srcset", "object": "data"}
MOST_CELLS = 12
CHROMIUM = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0"),
    # a page of this check looks into the pages of the site
    "--allow-file-access-from-files",
]
COPY = "Copy to clipboard"
WIDTHS = {"phone": 390, "desk": 1280}
SHOWN = """<!doctype html><body>{frames}<script>onload = () => {{
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument.documentElement;
    document.body.setAttribute("data-" + frame.id, page.scrollWidth);
    document.body.setAttribute("data-page", page.outerHTML);
  }}
}}</script>"""


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
    """Open a page in a fresh browser; return its text, its widths, what it asked for, and what the console says."""
    with tempfile.TemporaryDirectory() as folder:
        frames = "".join(
            f'<iframe id="{name}" src="{escape(page.as_uri())}" style="width: {width}px; height: 800px"></iframe>'
            for name, width in WIDTHS.items()
        )
        around, log = Path(folder, "around.html"), Path(folder, "net.json")
        around.write_text(SHOWN.format(frames=frames), encoding="utf-8")
        options = [f"--user-data-dir={folder}/profile", f"--log-net-log={log}", "--dump-dom", around.as_uri()]
        done = subprocess.run([chromium, *CHROMIUM, *options], capture_output=True, text=True, timeout=120, check=True)
        asked = asked_for(json.loads(log.read_text(encoding="utf-8"))) - {around.as_uri()}
    values = dict(re.findall(r'data-(\w+)="([^"]*)"', done.stdout.partition("<iframe")[0]))
    text = Loads()
    text.feed(unescape(values["page"]))
    widths = {name: int(values[name]) for name in WIDTHS}
    return " ".join(text.text), widths, asked, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def asked_for(log):
    """Return the addresses that a browser asked for on behalf of a page."""
    kind = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    found = {event["params"]["url"] for event in log["events"] if event["type"] == kind and "url" in event["params"]}
    # the browser itself asks its maker for news, whatever the page
    return {url for url in found if not re.search(r"google(apis)?\.com|gvt1\.com", url)}


def problems_in_browser(site, chromium):
    """Return what a browser says of each page."""
    found = []
    for page in sorted(site.rglob("*.html")):
        name = page.relative_to(site)
        text, widths, asked, console = opened(chromium, page)
        found += [f"{name}: {line}" for line in console]
        found += [f"{name}: asks for {url}" for url in asked if not url.startswith((site.as_uri(), "data:"))]
        found += [f"{name}: {wide} wide on a {kind}" for kind, wide in widths.items() if wide > WIDTHS[kind]]
        if page.name == "search.html":
            continue
        file = Loads()
        file.feed(page.read_text(encoding="utf-8"))
        before, after = (len(words.split()) for words in (" ".join(file.text), text))
        # scripts add labels of buttons, and neither bring nor remove sentences
        after -= len(COPY.split()) * text.count(COPY)
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
