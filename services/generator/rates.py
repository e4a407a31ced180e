"""Shares and averages of a team for `team_batting_stats` and `team_pitching_stats`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from services.generator.rows import Value
from services.generator.tables.seasons import TEAM_BATTING_STATS, TEAM_PITCHING_STATS

_KEY = ("team_id", "year", "league_id", "level_id", "split_id")


def team_batting_values(counts: Mapping[str, int]) -> dict[str, Value]:
    """All columns of a team's batting line except its key columns."""
    n = defaultdict(int, counts)
    singles = n["h"] - n["d"] - n["t"] - n["hr"]
    bases = singles + 2 * n["d"] + 3 * n["t"] + 4 * n["hr"]
    avg, slg = _per(n["h"], n["ab"]), _per(bases, n["ab"])
    obp = _per(n["h"] + n["bb"] + n["hp"], n["ab"] + n["bb"] + n["hp"] + n["sf"])
    created = _per((n["h"] + n["bb"]) * bases, n["ab"] + n["bb"])
    weighed = 0.69 * n["bb"] + 0.72 * n["hp"] + 0.88 * singles + 1.25 * n["d"] + 1.58 * n["t"] + 2.03 * n["hr"]
    values = {
        **counts,
        "s": singles,
        "tb": bases,
        "ebh": n["d"] + n["t"] + n["hr"],
        "avg": avg,
        "obp": obp,
        "slg": slg,
        "rc": created,
        "rc27": _per(27 * created, n["ab"] - n["h"] + n["sf"] + n["gdp"] + n["cs"]),
        "iso": slg - avg,
        "woba": _per(weighed, n["pa"]),
        "ops": obp + slg,
        "sbp": _per(n["sb"], n["sb"] + n["cs"]),
    }
    return {name: values.get(name, 0) for name in TEAM_BATTING_STATS.column_names if name not in _KEY}


def team_pitching_values(counts: Mapping[str, int]) -> dict[str, Value]:
    """All columns of a team's pitching line except its key columns."""
    values: dict[str, float] = {**counts, "ip": counts.get("outs", 0) // 3, "ipf": counts.get("outs", 0) % 3}
    values |= _allowed(counts) | _won(counts)
    return {name: values.get(name, 0) for name in TEAM_PITCHING_STATS.column_names if name not in _KEY}


def _allowed(counts: Mapping[str, int]) -> dict[str, float]:
    n = defaultdict(int, counts)
    outs = n["outs"]
    obp = _per(n["ha"] + n["bb"] + n["hp"], n["ab"] + n["bb"] + n["hp"] + n["sf"])
    slg = _per(n["tb"], n["ab"])
    return {
        "r9": _per(27 * n["r"], outs),
        "era": _per(27 * n["er"], outs),
        "h9": _per(27 * n["ha"], outs),
        "k9": _per(27 * n["k"], outs),
        "hr9": _per(27 * n["hra"], outs),
        "bb9": _per(27 * n["bb"], outs),
        "whip": _per(3 * (n["ha"] + n["bb"]), outs),
        "fip": _per(3 * (13 * n["hra"] + 3 * (n["bb"] + n["hp"]) - 2 * n["k"]), outs) + 3.1,
        "avg": _per(n["ha"], n["ab"]),
        "obp": obp,
        "slg": slg,
        "ops": obp + slg,
        "gbfbp": _per(n["gb"], n["gb"] + n["fb"]),
        "kbb": _per(n["k"], n["bb"]),
        "babip": _per(n["ha"] - n["hra"], n["ab"] - n["k"] - n["hra"] + n["sf"]),
        "pig": _per(n["pi"], n["g"]),
    }


def _won(counts: Mapping[str, int]) -> dict[str, float]:
    n = defaultdict(int, counts)
    return {
        "cgp": _per(n["cg"], n["g"]),
        "qsp": _per(n["qs"], n["g"]),
        "winp": _per(n["w"], n["w"] + n["l"]),
        "rsg": _per(n["rs"], n["g"]),
        "svp": _per(n["s"], n["svo"]),
        "bsvp": _per(n["bs"], n["svo"]),
        "gfp": _per(n["gf"], n["g"]),
        "ws": _per(n["w"] + n["s"], n["g"]),
    }


def _per(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
