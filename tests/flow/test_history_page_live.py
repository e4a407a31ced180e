"""The history on the page of a partition, in a real Chromium over a store with many points."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from api.application import create_app
from bench.screenshots import chromium, launch_options
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.history import HistoryRules
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.verdict import Outcome, Verdict
from tests.api.conftest import G2031, GAMES, FakeLagReader, FakeServices, seed
from tests.api.test_incidents import observe
from tests.dashboard.visits import WITHIN_MS, Visit, serving, verdicts_of_history

pytestmark = pytest.mark.live

NAME = "date_year=2033"
ADDRESS = f"/tables/{GAMES}/{NAME}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("NOT RUN: chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(**launch_options(program))
        yield opened
        opened.close()


def save(store: SqlStateStore, verdict: Verdict, at: float) -> None:
    store.save_verdicts(Progress("stream", 5, 10, 4, 2), [TableVerdicts(GAMES, 4, {NAME: verdict})], at)


def fill_history(store: SqlStateStore, points: int, now: float) -> None:
    """Stores a point for each half hour until now: mostly equal, each tenth undecided, the one after it different."""
    for number in range(points):
        left = points - 1 - number
        rows = Fingerprint(G2031.rows + number, 3, 4)
        verdict = {
            0: Verdict(Outcome.MISMATCH, "3 rows are missing in the lake", rows, Fingerprint(rows.rows - 3, 3, 5)),
            1: Verdict(Outcome.INCONCLUSIVE, "the lake is not readable", rows, None),
        }.get(left % 10, Verdict(Outcome.MATCH, "", rows, rows))
        save(store, verdict, now - 1800.0 * left)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_a_history_shows_its_points_in_pages_and_the_incidents_of_its_table(
    browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    url_of_store, now = f"sqlite:///{tmp_path}/state.db", time.time()
    with (
        closing(SqlStateStore(url_of_store, clock=lambda: now, history=HistoryRules(every_s=0.0))) as store,
        closing(SqlIncidentStore(url_of_store)) as incidents,
    ):
        seed(store)
        fill_history(store, 120, now)
        observe(incidents, now)
        app = create_app(store, FakeLagReader(), lambda: now, services=FakeServices(), incident_reader=incidents)
        # The page is closed first: the server waits for the end of its stream of events.
        with serving(app) as url:
            visit = Visit(browser, url, scheme, width)
            with closing(visit.page):
                look_at(visit)
                save(store, Verdict(Outcome.MATCH, "", G2031, G2031), now + 1)
                expect(verdicts_of_history(visit).first).to_have_text("equal", timeout=WITHIN_MS)
                turn_pages(visit)
                assert visit.faults == []
                meet_an_error(visit)


def look_at(visit: Visit) -> None:
    """The newest page: 100 points, the open incident, no fault."""
    visit.open(ADDRESS, NAME)
    verdicts = verdicts_of_history(visit)
    expect(verdicts).to_have_count(100, timeout=WITHIN_MS)
    assert verdicts.all_inner_texts()[:3] == ["differs", "not decided yet", "equal"]
    assert verdicts.all_inner_texts().count("differs") == 10
    history = visit.page.locator("section[aria-labelledby=history]")
    expect(history.get_by_role("link", name=GAMES)).to_have_count(1, timeout=WITHIN_MS)
    expect(history.get_by_role("img")).to_be_visible()
    assert visit.violations() == []
    assert not visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def turn_pages(visit: Visit) -> None:
    """By keyboard to the older page, which has an address, and back."""
    verdicts = verdicts_of_history(visit)
    history = visit.page.locator("section[aria-labelledby=history]")
    older = history.get_by_role("button", name="Older")
    older.focus()
    visit.page.keyboard.press("Enter")
    expect(verdicts).to_have_count(21, timeout=WITHIN_MS)
    expect(older).to_be_disabled()
    visit.page.reload()
    expect(verdicts).to_have_count(21, timeout=WITHIN_MS)
    assert visit.violations() == []
    history.get_by_role("button", name="Newest").click()
    expect(verdicts).to_have_count(100, timeout=WITHIN_MS)
    visit.page.goto(f"{ADDRESS}?before=1")
    expect(history).to_contain_text("Nothing older is kept", timeout=WITHIN_MS)
    assert visit.violations() == []


def meet_an_error(visit: Visit) -> None:
    """An error of the history is shown in its place; the rest of the page stays."""
    visit.page.route("**/history?**", lambda route: route.fulfill(status=503, json={"error": "the store is away"}))
    visit.open(ADDRESS, NAME)
    history = visit.page.locator("section[aria-labelledby=history]")
    expect(history.get_by_role("alert")).to_have_text("the store is away", timeout=WITHIN_MS)
    expect(visit.page.get_by_role("heading", name="Both sides at epoch")).to_be_visible()
    assert visit.violations() == []
