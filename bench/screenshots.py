"""Takes pictures of every page of a running dashboard: `./run screenshots`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import click
from playwright.sync_api import Browser, Page, sync_playwright

WITHIN_MS = 20_000
SIZES: Mapping[str, tuple[int, int]] = {"wide": (1440, 900), "phone": (390, 844)}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True)
class Subject:
    """A page to take a picture of."""

    name: str
    path: str


def chromium() -> str | None:
    """The browser of this machine. None without one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def launch_options(program: str) -> dict[str, Any]:
    """How the browser is started.

    Chromium has no sandbox for root, and containers have little shared memory.
    """
    return {"executable_path": program, "args": ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]}


def _subjects(page: Page, base: str, incident: str | None) -> list[Subject]:
    """The views, with a table and a partition that has trouble if any has."""
    items = page.request.get(f"{base}/v1/matrix").json()["items"]
    order = {"mismatch": 0, "inconclusive": 1, "match": 2}
    items.sort(key=lambda item: (order[item["verdict"]], -len(item["partitions"])))
    subjects = [Subject("overview", "/"), Subject("pipeline", "/pipeline"), Subject("incidents", "/incidents")]
    if items and items[0]["partitions"]:
        table, letters = quote(items[0]["table"], safe=""), items[0]["verdicts"]
        at = max(letters.find("x"), 0)
        partition = "/".join(quote(part, safe="=") for part in items[0]["partitions"][at].split("/"))
        subjects += [Subject("table", f"/tables/{table}"), Subject("partition", f"/tables/{table}/{partition}")]
    if incident is not None:
        subjects.append(Subject("incident", f"/incidents/{incident}"))
    return subjects


def _take(browser: Browser, base: str, into: Path, scheme: str, wait_s: float, *, is_whole: bool) -> None:
    for size, (width, height) in SIZES.items():
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=cast("Any", scheme), base_url=base
        )
        for subject in _subjects(page, base, _incident(page, base)):
            page.goto(subject.path)
            page.locator("h1").first.wait_for(timeout=WITHIN_MS)
            # Until the courses of lag and freshness show more than one moment.
            page.wait_for_timeout((wait_s if subject.path in {"/", "/pipeline"} else 1.5) * 1000)
            page.screenshot(path=into / f"{subject.name}-{size}-{scheme}.png", full_page=is_whole)
        page.close()


def _incident(page: Page, base: str) -> str | None:
    if "/v1/incidents" not in page.request.get(f"{base}/openapi.json").json()["paths"]:
        return None
    items = page.request.get(f"{base}/v1/incidents").json()["items"]
    return str(items[0]["id"]) if items else None


@click.command()
@click.option("--url", default=f"http://127.0.0.1:{os.environ.get('DFP_API_PORT', '8000')}", show_default=True)
@click.option("--into", type=click.Path(path_type=Path), default=Path(".local/screenshots"), show_default=True)
@click.option("--scheme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option("--wait", default=12.0, show_default=True, help="Seconds on pages with charts.")
@click.option("--whole/--window", default=True, help="The whole page, or what a window of it shows.")
def main(url: str, into: Path, scheme: str, wait: float, *, whole: bool) -> None:
    """Takes a picture of every page, at 1440 and 390 pixels."""
    program = chromium()
    if program is None:
        sys.exit("screenshots: no Chromium on this machine")
    into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(program))
        _take(browser, url, into, scheme, wait, is_whole=whole)
        browser.close()
    for path in sorted(into.glob("*.png")):
        click.echo(path)


if __name__ == "__main__":
    main()
