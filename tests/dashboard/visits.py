"""Visits of the dashboard with a browser, and a server for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Request, expect

from deploy.embedded.waiting import await_condition

WITHIN_MS = 90_000
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")


class Visit:
    """A page of the browser that notes everything that no page may do.

    Attributes:
        page: The page.
        faults: Console errors, exceptions, and requests to other hosts.
    """

    def __init__(self, browser: Browser, base: str, scheme: str = "light", width: int = 1440) -> None:
        self.faults: list[str] = []
        self.page: Page = browser.new_page(
            base_url=base,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
        )
        host = urlsplit(base).netloc
        self.page.set_default_timeout(WITHIN_MS)
        self.page.on("console", self._note_message)
        self.page.on("pageerror", self._note_error)
        self.page.on("request", partial(self._note_request, host))

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _note_error(self, error: Error) -> None:
        self.faults.append(str(error))

    def _note_request(self, host: str, request: Request) -> None:
        if urlsplit(request.url).netloc != host:
            self.faults.append(request.url)

    def open(self, path: str, heading: str) -> None:
        """Loads an address and waits for its heading."""
        self.page.goto(path)
        self.expect_heading(heading)

    def expect_heading(self, text: str) -> None:
        expect(self.page.locator("h1").first).to_contain_text(text, timeout=WITHIN_MS)

    def violations(self) -> list[str]:
        """What axe-core finds on the page as it is now."""
        self.page.evaluate(AXE)
        result = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [f"{rule['id']}: {node['html'][:200]}" for rule in result["violations"] for node in rule["nodes"]]


def verdicts_of_history(visit: Visit) -> Locator:
    """The verdict of each point that the page shows, newest first."""
    return visit.page.locator("section[aria-labelledby=history] tbody .verdict")


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serves an application on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    await_condition(lambda: server.started, timeout_s=30.0)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
