"""A real server, a real browser, and what no page may do: complain on its console, or ask another host for anything."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = Path(__file__).with_name("vendor") / "axe-4.14.1.min.js"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SERIOUS = ("serious", "critical")
PASSWORD = "a long password"
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}


@contextmanager
def served(gallery: Path, *options: str) -> Iterator[str]:
    """A server of a gallery in a process of its own; yields its address, and ends it as an agency would."""
    command = [sys.executable, "-m", "forensic.cli", "serve", "--gallery", str(gallery), "--port", "0", *options]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"http://[\w.]+:\d+", line):
                break
        else:
            raise AssertionError(f"The server did not start: {said}")
        log = threading.Thread(target=process.stderr.read)  # else the server waits for a reader of its log
        log.start()
        try:
            yield found.group()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            log.join()


class Watched:
    """A browser's context in which nothing goes wrong unseen.

    Attributes:
        faults: What pages complained of, and requests to other hosts.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context, self.address = context, address
        self.faults: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        context.on("request", self._request)

    def sign_in(self, user: str) -> Page:
        """A page on which a user has just signed in."""
        page = self.context.new_page()
        page.goto(f"{self.address}/sign-in")
        page.get_by_label("Name").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "sign-in" not in url)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(self.address):
            self.faults.append(f"another host: {request.url}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def findings(page: Page) -> list[str]:
    """What axe-core finds that is serious or worse, a line each."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{fault['impact']}: {fault['help']}: {', '.join(str(node['target']) for node in fault['nodes'][:3])}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
    ]
