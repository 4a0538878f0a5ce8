"""A real browser shows our pages with hostile names in them: no script runs, nothing is asked for, every name is seen."""

from __future__ import annotations

import html
import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.interop.parts import Part
from tests.unit.reports.forms import samples
from tieout.reports.forms import page
from tieout.reports.frame import Report

CLIENT, CHECKS = "Chromium", "our pages with hostile names"
NAMES = ("chromium", "chromium-browser", "google-chrome")
_RAN = "ran=1"  # what each of them would do to the page's address, if it ran
_DO = f"location.hash='{_RAN}'"
HOSTILE = (
    f"<script>{_DO}</script>",
    f'"><img src="/asked" onerror="{_DO}">',
    f"<svg onload=\"{_DO}\"><circle r='9'/></svg>",
    f"</title></style></textarea><script>{_DO}</script>",
    f'<a href="javascript:{_DO}" autofocus onfocus="{_DO}">x</a>',
    f"<iframe srcdoc='<script>parent.{_DO}</script>'></iframe>",
    f"<meta http-equiv=refresh content='0;url=/asked#{_RAN}'>",
    "<link rel=stylesheet href=/asked><style>@import '/asked';</style>",
    f"&#60;script&#62;{_DO}&#60;/script&#62;",
)


def hostile(name: str) -> Report:
    """A statement in which the name stands wherever text does."""
    made = samples.statement(name)
    return replace(made, company=name, parameters={name: name}, notes=(*made.notes, name))


def careless(name: str) -> str:
    """The page as somebody would make it who does not escape: the check must see that something ran."""
    return f"<!doctype html><title>x</title><body><p>{name}</p>"


@contextmanager
def serving(pages: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The pages over HTTP, and every path that was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = pages.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def part(place: Path) -> Part:
    """Every hostile name on a page of ours, and on a careless one, which shows that the check can fail."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        return Part(CLIENT, CHECKS, absent="chromium is not installed")
    passed = failed = 0
    for n, name in enumerate(HOSTILE):
        with serving({"/ours": page.write(hostile(name))}) as (url, asked):
            shown = _dom(program, place / f"profile{n}", f"{url}/ours")
            wrong = [p for p in asked if p not in ("/ours", "/favicon.ico")]
        text = html.unescape(re.sub(r"<[^>]*>", "", shown))
        tags = {t.lower() for t in re.findall(r"<([a-zA-Z]+)", shown)} & {"script", "img", "iframe", "a", "link"}
        good = not wrong and not tags and text.count(name) >= 3
        passed, failed = passed + good, failed + (not good)
        if not good:
            print(
                f"{CLIENT}: {name!r} on a page of ours: asked {wrong}, elements {tags}, seen {text.count(name)} times"
            )
    with serving({"/careless": careless(HOSTILE[1])}) as (url, asked):
        _dom(program, place / "control", f"{url}/careless")
        ran = asked.count("/asked")
    if not ran:
        print(f"{CLIENT}: nothing ran on the careless page, so the check sees nothing")
    return Part(CLIENT, CHECKS, passed + bool(ran), failed + (not ran))


def _dom(program: str, profile: Path, url: str) -> str:
    """The page as the browser has made it, after its scripts would have run."""
    how = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-extensions",
        "--virtual-time-budget=500",
    ]
    command = [program, *how, f"--user-data-dir={profile}", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        print(f"{CLIENT}: {done.stderr[-500:]}")
    return done.stdout
