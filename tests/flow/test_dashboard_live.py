"""The dashboard in a real Chromium, over a live flow and over a store of 1,000 tables and 50,000 partitions."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from api.application import create_app
from bench.screenshots import chromium, launch_options
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tokens import SqlTokenStore
from datafingerprint.ports.tokens import Action
from datafingerprint.tokens import Role, new_token
from deploy.embedded.waiting import await_condition
from tests.api.conftest import NOW, FakeLagReader, FakeServices, seed
from tests.dashboard.large_state import AWKWARD, fill
from tests.dashboard.visits import WITHIN_MS, Visit, serving, verdicts_of_history

pytestmark = pytest.mark.live

TOKEN = "sixteen-or-more-characters"
ELEMENTS_MAX = 5_000
MATRIX_BYTES_MAX = 100_000
"""What 50,000 partitions may cost: elements on the page, and compressed bytes of their verdicts."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("NOT RUN: chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(**launch_options(program))
        yield opened
        opened.close()


def altered(data: bytes) -> bytes:
    """The same Parquet file with one value changed."""
    rows = pq.read_table(io.BytesIO(data))
    ratings = rows.column("rating").to_pylist()
    ratings[0] += 0.5
    at = rows.schema.get_field_index("rating")
    sink = io.BytesIO()
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(ratings, pa.float64())), sink)
    return sink.getvalue()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_damaged_row_turns_the_overview_and_leads_to_its_partition_until_it_is_healed(
    standing_flow: Any,  # noqa: ANN401 - made by tests/flow/conftest.py, which cannot be imported
    browser: Browser,
) -> None:
    flow = standing_flow
    url = f"http://127.0.0.1:{flow.environment['DFP_API_PORT']}"
    api = flow.service("commands", "serve", label="api")
    api.start()
    await_condition(lambda: is_up(url), timeout_s=60.0)
    visit = Visit(browser, url)
    visit.open("/", "partitions equal the source as of")

    path = next(path for path in flow.live_files("players") if "league_id=2/" in path)
    whole = flow.get_object(path)
    flow.put_object(path, altered(whole))
    visit.expect_heading("partitions differs from the source")
    assert visit.violations() == []

    table = f"{flow.schema}.players"
    visit.page.get_by_role("link", name="league_id=2, differs").click()
    visit.expect_heading("league_id=2")
    expect(visit.page.get_by_role("main")).to_contain_text("as many rows on both sides, but other values")
    visit.page.reload()
    visit.expect_heading("league_id=2")
    assert urlsplit(visit.page.url).path == f"/tables/{table}/league_id=2"
    visit.page.get_by_role("navigation", name="Path").get_by_role("link", name=table).click()
    visit.expect_heading(table)

    flow.put_object(path, whole)
    visit.page.get_by_role("link", name="Overview", exact=True).first.click()
    visit.expect_heading("partitions equal the source as of")

    visit.page.get_by_role("link", name="league_id=2, equal").click()
    visit.expect_heading("league_id=2")
    verdicts = verdicts_of_history(visit)
    expect(verdicts.first).to_have_text("equal", timeout=WITHIN_MS)
    assert verdicts.all_inner_texts()[:3] == ["equal", "differs", "equal"]
    chart = visit.page.locator("section[aria-labelledby=history]").get_by_role("img")
    expect(chart).to_have_attribute("aria-label", re.compile("equal, then differs, then equal"))
    assert visit.violations() == []
    assert visit.faults == []
    api.end()


def test_a_row_is_found_shown_and_healed_from_the_page_while_its_incident_is_handled(
    standing_flow: Any,  # noqa: ANN401 - as above
    browser: Browser,
) -> None:
    """A changed cell in the lake, from the overview over the incident to the cell, and back by a resync."""
    flow = standing_flow
    url = f"http://127.0.0.1:{flow.environment['DFP_API_PORT']}"
    api = flow.service("commands", "serve", label="api with a token")
    notifier = flow.service("notifier")
    try:
        api.start(DFP_API_TOKEN=TOKEN)
        notifier.start(DFP_ALERTS_QUIET_S="2")
        await_condition(lambda: is_up(url), timeout_s=60.0)
        visit = Visit(browser, url)
        visit.open("/", "Token needed")
        visit.page.get_by_role("textbox", name="Token").fill(TOKEN)
        visit.page.get_by_role("button", name="Show this page").click()
        visit.expect_heading("partitions equal the source as of")

        path = next(path for path in flow.live_files("players") if "league_id=1/" in path)
        flow.put_object(path, altered(flow.get_object(path)))
        table = f"{flow.schema}.players"
        visit.page.get_by_role("link", name="values differ").first.click()
        visit.expect_heading(table)
        address = urlsplit(visit.page.url).path
        assert address.startswith("/incidents/")
        handle(visit, "Looks into it: night shift")

        visit.page.get_by_role("link", name="league_id=1", exact=True).first.click()
        visit.expect_heading("league_id=1")
        visit.page.get_by_role("button", name="Show the rows").click()
        changed = visit.page.locator("section[aria-labelledby=differences] td.differs")
        expect(changed).to_have_count(2)  # the source's value and the lake's
        first, second = (float(text.removeprefix("≠ ")) for text in changed.all_inner_texts())
        assert abs(first - second) == 0.5

        visit.page.get_by_role("button", name="Resync: dry run").click()
        expect(visit.page.get_by_text("would be read from the source")).to_be_visible()
        assert visit.violations() == []
        visit.page.get_by_role("button", name="Resync now").click()
        expect(visit.page.get_by_text("done")).to_be_visible(timeout=WITHIN_MS)
        expect(visit.page.locator("h1 .verdict.match")).to_be_visible(timeout=WITHIN_MS)

        visit.page.goto(address)
        expect(visit.page.locator("h1")).to_contain_text("closed", timeout=WITHIN_MS)
        expect(visit.page.get_by_role("main")).to_contain_text("Looks into it: night shift")
        visit.page.get_by_role("link", name="Overview", exact=True).first.click()
        visit.expect_heading("partitions equal the source as of")
        assert visit.faults == []
        headers = {"Authorization": f"Bearer {TOKEN}"}
        done = httpx.get(f"{url}/v1/actions", headers=headers, timeout=60).json()["items"]
        asked = [item["path"].replace(address, "/incidents/N") for item in reversed(done)]
        assert asked == ["/v1/incidents/N/acknowledge", "/v1/incidents/N/silence", "/v1/resyncs"]
        assert {(item["who"], item["role"]) for item in done} == {("api.token", "operator")}
    finally:
        notifier.end()
        api.end()


def handle(visit: Visit, note: str) -> None:
    """Acknowledges and silences the incident of the page, by its form."""
    visit.page.get_by_role("textbox", name="Note").fill(note)
    visit.page.get_by_role("button", name="Acknowledge").click()
    facts = visit.page.locator("section[aria-labelledby=handling]")
    expect(facts).to_contain_text(note)
    expect(facts).not_to_contain_text("not yet")
    visit.page.get_by_role("button", name="4 h", exact=True).click()
    expect(facts).to_contain_text("Silent until")
    assert visit.violations() == []


PAGES = {
    "/": "1 of 2 partitions differs",
    "/tables/ootp.games": "ootp.games",
    "/tables/ootp.games/date_year=2032": "date_year=2032",
    "/tables/ootp.%3Ctrades%3E": "ootp.<trades>",
    "/incidents": "Incidents",
    "/pipeline": "Pipeline",
}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_no_page_has_a_fault_for_assistive_technology(
    browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db", clock=lambda: NOW - 11)) as store:
        seed(store)
        with serving(create_app(store, FakeLagReader(), lambda: NOW, services=FakeServices())) as url:
            visit = Visit(browser, url, scheme, width)
            for path, heading in PAGES.items():
                visit.open(path, heading)
                assert visit.violations() == [], path
                is_too_wide = visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not is_too_wide, f"{path} scrolls sideways at {width} pixels"
            assert visit.faults == []
            visit.page.goto("/tabels")
            visit.expect_heading("There is no such page")
            assert visit.violations() == []


def test_a_token_is_asked_for_once_and_leads_back_to_the_same_page(browser: Browser, tmp_path: Path) -> None:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db", clock=lambda: NOW - 11)) as store:
        seed(store)
        app = create_app(store, FakeLagReader(), lambda: NOW, services=FakeServices(), token=TOKEN)
        with serving(app) as url:
            visit = Visit(browser, url)
            visit.open("/tables/ootp.games", "Token needed")
            assert visit.violations() == []
            visit.page.get_by_role("textbox", name="Token").fill(TOKEN)
            visit.page.get_by_role("button", name="Show this page").click()
            visit.expect_heading("ootp.games")
            visit.page.get_by_role("button", name="Audit now").click()
            expect(visit.page.get_by_text("Audit 2: queued")).to_be_visible()
            visit.page.reload()
            visit.expect_heading("ootp.games")
            assert visit.faults == []


def test_an_expired_token_leads_back_to_the_same_page_and_a_viewer_has_no_buttons(
    browser: Browser, tmp_path: Path
) -> None:
    url_of_store = f"sqlite:///{tmp_path}/state.db"
    now = [NOW]
    with (
        closing(SqlStateStore(url_of_store, clock=lambda: NOW - 11)) as store,
        closing(SqlTokenStore(url_of_store)) as tokens,
    ):
        seed(store)
        secrets = {}
        for name, role, lifetime_s in (("day", Role.VIEWER, 3600.0), ("night", Role.OPERATOR, None)):
            secrets[name], token = new_token(name, role, NOW, lifetime_s)
            assert tokens.create(token, Action(NOW, "test", "", "", "COMMAND", "create", ""))
        app = create_app(store, FakeLagReader(), lambda: now[0], services=FakeServices(), tokens=tokens, actions=tokens)
        with serving(app) as url:
            visit = Visit(browser, url)
            path = "/tables/ootp.games/date_year=2032"
            visit.open(path, "Token needed")
            visit.page.get_by_role("textbox", name="Token").fill(secrets["day"])
            visit.page.get_by_role("button", name="Show this page").click()
            visit.expect_heading("date_year=2032")
            expect(visit.page.get_by_text("You are day, viewer until")).to_be_visible()
            expect(visit.page.get_by_role("button", name="Audit now")).to_be_disabled()
            assert visit.violations() == []
            assert visit.faults == []

            now[0] += 3600.0
            visit.expect_heading("Token needed")
            expect(visit.page.get_by_role("alert").first).to_contain_text("the token has expired")
            assert urlsplit(visit.page.url).path == path
            visit.page.get_by_role("textbox", name="Token").fill(secrets["night"])
            visit.page.get_by_role("button", name="Show this page").click()
            visit.expect_heading("date_year=2032")
            assert urlsplit(visit.page.url).path == path
            visit.page.get_by_role("button", name="Audit now").click()
            expect(visit.page.get_by_text("Audit 2: queued")).to_be_visible()
            assert [fault for fault in visit.faults if "401" not in fault] == []
        (action, *_) = tokens.actions(limit=1)
        assert (action.who, action.role, action.path, action.status) == ("night", "operator", "/v1/audits", 202)


def test_a_thousand_tables_stay_usable_by_mouse_and_keyboard(browser: Browser, tmp_path: Path) -> None:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db", clock=lambda: NOW - 11)) as store:
        names = fill(store, 1000, 50)
        with serving(create_app(store, FakeLagReader(), lambda: NOW, services=FakeServices())) as url:
            answer = httpx.get(f"{url}/v1/matrix", headers={"Accept-Encoding": "gzip"}, timeout=60)
            assert int(answer.headers["content-length"]) < MATRIX_BYTES_MAX
            visit = Visit(browser, url)
            visit.open("/", "of 50,000 partitions differ")
            page = visit.page
            grid = page.get_by_role("grid")
            expect(grid).to_have_attribute("aria-rowcount", "1000")
            assert page.evaluate("document.querySelectorAll('*').length") < ELEMENTS_MAX
            assert visit.violations() == []

            first = grid.get_by_role("rowheader").first.get_by_role("link")
            first.focus()
            for key in ("PageDown",) * 8 + ("ArrowRight",):
                page.keyboard.press(key)
                # Waiting for a script's value would need `unsafe-eval`, which the page's policy forbids.
                expect(page.locator("[data-at]:focus")).to_have_count(1)
            label = page.evaluate("document.activeElement.getAttribute('aria-label')")
            page.keyboard.press("Enter")
            visit.expect_heading(label.partition(",")[0])

            page.goto("/?q=script&verdict=mismatch")
            expect(grid).to_have_attribute("aria-rowcount", "1")
            expect(grid.get_by_role("rowheader")).to_contain_text(names[0])
            for name, awkward in zip(names, AWKWARD, strict=False):
                page.get_by_label("Search tables and partitions").fill(awkward[:20])
                page.get_by_role("button", name="All").click()
                grid.get_by_role("rowheader").first.get_by_role("link").click()
                visit.expect_heading(name)
                page.go_back()
            is_too_wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert (visit.faults, is_too_wide) == ([], False), json.dumps(visit.faults)
