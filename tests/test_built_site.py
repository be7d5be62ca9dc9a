"""What `make docs` has built: pages that need no other host, and none wider than a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SITE = Path(__file__).resolve().parents[1] / "site"
pytestmark = [
    pytest.mark.extra,
    pytest.mark.skipif(not SITE.is_dir(), reason="no site here: `make docs` builds it"),
]
PAGES = sorted(path.relative_to(SITE) for path in SITE.rglob("*.html"))
PHONE = 390  # CSS pixels
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


class Fetched(HTMLParser):
    """The addresses that a browser fetches by itself: all but those of links to follow."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"src", "srcset", "poster", "data"} | ({"href"} if tag != "a" else set())
        self.addresses += [value for name, value in attrs if name in names and value]


def test_there_are_pages():
    assert len(PAGES) > 25


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_fetches_nothing_from_another_host(page):
    reader = Fetched()
    text = (SITE / page).read_text(encoding="utf-8")
    reader.feed(text)
    assert reader.addresses  # its style, at the least
    assert not [one for one in reader.addresses if re.match(r"(\w+:)?//", one)]
    assert "@import" not in text


def test_neither_do_styles():
    for style in SITE.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^)'\"]+)", style.read_text())
        assert not found, style


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_no_page_is_wider_than_a_phone(tmp_path):
    """Each in a frame of that width; what is wider, a table or a listing, scrolls in itself."""
    frames = FRAMES.replace("WIDTH", str(PHONE))
    Served.frames = frames.replace("PAGES", json.dumps([str(page) for page in PAGES]))
    served = partial(Served, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/frames"
        options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}")
        run = subprocess.run(
            [BROWSER, *options, "--virtual-time-budget=600000", "--dump-dom", address],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        server.shutdown()
    (found,) = re.findall(r"<pre>(.*?)</pre>", run.stdout)
    widths = json.loads(found)
    assert widths.keys() == set(map(str, PAGES))
    assert not {page: width for page, width in widths.items() if width > PHONE}


FRAMES = """<!doctype html><pre></pre><script>
(async () => {
  const widths = {};
  for (const page of PAGES) {
    const frame = document.createElement("iframe");
    frame.width = WIDTH;
    frame.height = 844;
    frame.style.border = "none";
    frame.src = "/" + page;
    document.body.append(frame);
    await new Promise(loaded => { frame.onload = loaded; });
    widths[page] = frame.contentDocument.documentElement.scrollWidth;
    frame.remove();
  }
  document.querySelector("pre").textContent = JSON.stringify(widths);
})();
</script>"""


class Served(SimpleHTTPRequestHandler):
    """Serves the site, and the page of frames, which only a page of the same host may measure."""

    frames = ""

    def do_GET(self) -> None:
        if self.path != "/frames":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.frames.encode())

    def log_message(self, *_: object) -> None:
        pass
