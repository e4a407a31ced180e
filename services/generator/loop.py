"""The generator's loop: plays each game at its time, through lost connections."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from structlog.stdlib import BoundLogger

from datafingerprint.errors import DataFingerprintError, Unavailable
from services.generator.day import dice, play_day
from services.generator.events import kind_of
from services.generator.indexes import ensure_indexes
from services.generator.league import League
from services.generator.numbers import Numbers
from services.generator.ports import Warehouse
from services.generator.reading import asking, read_archive, read_league, require_tables
from services.generator.scaling import ensure_copies
from services.generator.season import new_season
from services.generator.seed_sql import SEED_FOLDER
from services.generator.seeding import ensure_seed
from services.generator.statements import statements

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
REPORT_EVERY_S = 1.0


@dataclass(frozen=True)
class Orders:
    """What to play.

    Attributes:
        games: End after this many games. None: no end.
        rate: Games a second. 0: no pause.
        seed: Seed of all random numbers of the league.
        days: End after this many days of the league. None: no end.
        burst_games: Games of a burst, played without a pause. 0: no bursts.
        burst_every_s: Seconds between the starts of two bursts.
    """

    games: int | None
    rate: float
    seed: int
    days: int | None = None
    burst_games: int = 0
    burst_every_s: float = 60.0


@dataclass
class Tally:
    """Counts for the log: in all, and at the last report."""

    started: float
    games: int = 0
    rows: int = 0
    days: int = 0
    reported_at: float = 0.0
    reported_games: int = 0

    def rate(self, now: float) -> float:
        """Games a second since the last report."""
        return (self.games - self.reported_games) / max(now - self.reported_at, 1e-9)


@dataclass
class Loop:
    """Plays games into a warehouse.

    The league is read from the warehouse at the start and after every lost connection. If a COMMIT got no reply, the
    game is then found played, or is played again with the same rows.

    `on_away` is called with the Unix time of the first failure and the error, `on_well` after every completed step.
    """

    warehouse: Warehouse
    orders: Orders
    stopping: threading.Event
    log: BoundLogger
    seed_folder: Path | None = None
    only_load: bool = False
    copies: int = 1
    on_away: Callable[[float, DataFingerprintError], None] = lambda _since, _error: None
    on_well: Callable[[], None] = lambda: None
    _tally: Tally = field(init=False)
    _numbers: Numbers = field(default_factory=Numbers)
    _league: League | None = None
    _in_flight: int | None = None
    _due: float = 0.0
    _day: dt.date | None = None
    _burst_due: float = 0.0
    _burst_left: int = 0

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._tally = Tally(started=now, reported_at=now)

    def prepare(self) -> None:
        """Connects, and loads the seed if it is missing. Waits for the warehouse without a limit."""
        self._until_done(self._prepare)

    def run(self) -> None:
        """Plays the ordered number of games or days, or until `stopping` is set."""
        self._due = time.monotonic()
        self._burst_due = self._due + self.orders.burst_every_s
        while not self.stopping.is_set() and not self._finished():
            self._until_done(self._step)
        self._report(time.monotonic())

    def _finished(self) -> bool:
        orders, tally = self.orders, self._tally
        return (orders.games is not None and tally.games >= orders.games) or (
            orders.days is not None and tally.days >= orders.days
        )

    def _until_done(self, action: Callable[[], None]) -> None:
        """Retries an action until the warehouse is back, with pauses that double."""
        pause = BACKOFF_FIRST_S
        lost = False
        lost_at = 0.0
        while not self.stopping.is_set():
            try:
                if lost:
                    self._prepare()
                action()
            except Unavailable as error:
                lost_at = lost_at if lost else time.time()
                lost, self._league = True, None
                self.on_away(lost_at, error)
                self.log.warning("warehouse away, trying again", error=str(error), pause_s=round(pause, 1))
                self.stopping.wait(pause)
                pause = min(pause * 2, BACKOFF_MAX_S)
            else:
                self.on_well()
                return

    def _prepare(self) -> None:
        self.warehouse.connect()
        is_loaded = ensure_seed(
            self.warehouse,
            self.seed_folder,
            lambda file, rows: self.log.info("loaded", file=file, rows=rows),
            otherwise=SEED_FOLDER,
            is_stopping=self.stopping.is_set,
        )
        if not is_loaded:
            self.log.info("stopped before everything was loaded; the next start continues there")
            return
        self._numbers = ensure_copies(
            self.warehouse,
            self.copies,
            lambda table, rows: self.log.info("copied", table=table, rows=rows),
            self.stopping.is_set,
        )
        if self.stopping.is_set():
            return
        for table in ensure_indexes(self.warehouse):
            self.log.info("index made", table=table)
        if not self.only_load:
            require_tables(self.warehouse)

    def _step(self) -> None:
        league = self._league = self._league or self._read()
        self._note_day(league)
        if self._finished():
            return
        if not league.schedule:
            changes, after = new_season(league)
            self._tally.rows += self.warehouse.transact(statements(changes))
            self._league = after
            self.log.info("season opened", season=after.season, games=len(after.schedule))
            return
        if self._wait_for_turn():
            self._play(league)

    def _note_day(self, league: League) -> None:
        """Counts a day when the next game is on another one."""
        if not league.schedule:
            return
        day = league.schedule[0].date
        if self._day not in (None, day):
            self._tally.days += 1
        self._day = day

    def _read(self) -> League:
        """Reads the league, and checks whether the game in flight was committed."""
        league = read_league(asking(self.warehouse), self._numbers)
        if self._in_flight is not None and all(game.game_id != self._in_flight for game in league.schedule):
            self._tally.games += 1
        self._in_flight = None
        return league

    def _play(self, league: League) -> None:
        game = league.schedule[0]
        event = kind_of(game.game_id)
        archive = None
        if event is not None:
            chance = dice(self.orders.seed, game, "archive")
            archive = read_archive(asking(self.warehouse), event, game, chance, league.numbers)
        day = play_day(self.orders.seed, game, league, archive)
        self._in_flight = game.game_id
        rows = self.warehouse.transact(statements(day.changes))
        self._in_flight, self._league = None, day.league
        self._tally.games += 1
        self._tally.rows += rows
        self.log.debug("game played", game=game.game_id, event_kind=event, rows=rows)
        now = time.monotonic()
        if now - self._tally.reported_at >= REPORT_EVERY_S:
            self._report(now)

    def _wait_for_turn(self) -> bool:
        """Waits for the next game's time.

        A late game does not speed up the next ones. Returns False if stopped.
        """
        if not self.orders.rate:
            return True
        now = time.monotonic()
        if self._is_in_burst(now):
            return True
        stopped = self.stopping.wait(max(self._due - now, 0.0))
        self._due = max(self._due + 1 / self.orders.rate, now)
        return not stopped

    def _is_in_burst(self, now: float) -> bool:
        """Whether the next game belongs to a burst.

        The games after a burst have their usual distance.
        """
        orders = self.orders
        if orders.burst_games and now >= self._burst_due:
            self._burst_due = now + orders.burst_every_s
            self._burst_left = orders.burst_games
            self.log.info("burst started", games=orders.burst_games)
        if not self._burst_left:
            return False
        self._burst_left -= 1
        self._due = now + 1 / orders.rate
        return True

    def _report(self, now: float) -> None:
        tally = self._tally
        season = self._league.season if self._league else None
        rate = round(tally.rate(now), 1)
        self.log.info(
            "games played", games=tally.games, days=tally.days, rows=tally.rows, games_per_s=rate, season=season
        )
        tally.reported_at, tally.reported_games = now, tally.games
