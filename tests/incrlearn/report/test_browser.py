"""The page in a browser: everything is drawn, nothing is asked of disk or network, and a phone shows it whole."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from incrlearn.engine.record import RunRecord
from incrlearn.report.groups import group_runs
from incrlearn.report.page import render_page, write_page

MakeRun = Callable[..., RunRecord]
CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")

# Appended to the page, which has no script of its own: what a browser made of it, as the text of its title.
PROBE = """<script>
addEventListener("load", () => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const plots = all("figure .plot > svg, figure .panel > svg");
  document.title = JSON.stringify({
    page: document.documentElement.scrollWidth,
    window: document.documentElement.clientWidth,
    flat: plots.filter((one) => one.getBoundingClientRect().height < 40).length,
    drawn: plots.length,
    foreign: all("svg *").filter((one) => !(one instanceof SVGElement)).length,
    rows: all("#results tbody tr").length,
    loaded: performance.getEntriesByType("resource").map((one) => one.name).filter((name) => !name.startsWith("data:")),
  });
});
</script>"""


def browse(address: str, home: Path, *options: str) -> tuple[str, str]:
    """The DOM of a page after it is loaded, and what the browser logged."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}",
        "--enable-logging=stderr", *options, "--dump-dom", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout, done.stderr


def probe(text: str, folder: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """What a browser made of a page, and all that it asked the server for: from disk, nobody would see that."""
    asked = []

    class Server(SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            asked.append(self.path)

        def log_error(self, format: str, *args: object) -> None:  # noqa: A002 (named so by the base)
            pass

    (folder / "served").mkdir(exist_ok=True)
    (folder / "served" / "page.html").write_text(text + PROBE, encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder / "served"))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        dom, log = browse(
            f"http://127.0.0.1:{server.server_port}/page.html", folder / "home", f"--window-size={width},900"
        )
        server.shutdown()
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert "CONSOLE" not in log
    return json.loads(title[1]), [path for path in asked if path != "/favicon.ico"]


@pytest.fixture(scope="module")
def report(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    expected = {"average": 74.64, "last": 64.36, "parameters_average": 5.0, "source": "a paper"}
    runs = [
        make_run(seed=seed, channels={"conv1": [3, 4], "layer1.0.conv1": [7, 16]}, expected=expected) for seed in (1, 2)
    ]
    runs += [make_run(name="a_name_without_any_break_that_is_far_too_long_for_a_phone_" * 2), make_run(name="replay")]
    path = tmp_path_factory.mktemp("browser") / "report.html"
    write_page(path, render_page(group_runs(runs), [Path("runs/open")]))
    return path


def test_from_disk_a_browser_shows_every_figure_and_row(report: Path, tmp_path: Path) -> None:
    dom, log = browse(report.as_uri(), tmp_path)
    assert dom.count("<figure>") == dom.count("<figcaption>") == 4
    # The heading, three groups and what is expected of one.
    assert len(re.findall("<tr", dom.partition('id="results"')[2].partition("</table>")[0])) == 1 + 3 + 1
    assert dom.count("<svg") == report.read_text(encoding="utf-8").count("<svg")
    assert "CONSOLE" not in log


@pytest.mark.parametrize("width", [1280, 500])
def test_everything_is_drawn_within_the_window_and_nothing_is_asked_for(
    report: Path, tmp_path: Path, width: int
) -> None:
    seen, asked = probe(report.read_text(encoding="utf-8"), tmp_path, width)
    assert asked == ["/page.html"]
    # Curves, costs, three matrices, one group that was pruned.
    assert seen == {
        "loaded": [], "page": seen["window"], "window": seen["window"], "flat": 0, "drawn": 6, "foreign": 0, "rows": 4,
    }  # fmt: skip
    assert seen["window"] <= width


def test_a_page_that_asks_for_something_would_be_seen(tmp_path: Path) -> None:
    guilty = '<title></title><style>body { background: url(ground.svg) }</style><object data="other.html"></object>'
    (tmp_path / "served").mkdir()
    for name in ("ground.svg", "other.html"):
        (tmp_path / "served" / name).write_text("")
    seen, asked = probe(guilty, tmp_path, 1280)
    assert sorted(asked) == ["/ground.svg", "/other.html", "/page.html"]
    assert len(seen["loaded"]) == 2
