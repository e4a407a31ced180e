"""Tables of season totals, by player and by team."""

from __future__ import annotations

from services.generator.tables.notation import table

PLAYERS_CAREER_BATTING_STATS = table(
    "players_career_batting_stats",
    (),
    """
    INT player_id; SMALLINT year; INT team_id game_id league_id; SMALLINT level_id split_id position ab h k
    pa pitches_seen g gs d t hr r rbi sb cs bb ibb gdp sh sf hp ci; DOUBLE wpa; SMALLINT stint; DOUBLE ubr
    war
    """,
)

PLAYERS_CAREER_PITCHING_STATS = table(
    "players_career_pitching_stats",
    (),
    """
    INT player_id; SMALLINT year; INT team_id game_id league_id; SMALLINT level_id split_id ip ab tb ha k bf
    rs bb r er gb fb pi ipf g gs w l s sa da sh sf ta hra bk ci iw wp hp gf dp qs svo bs ra cg sho sb cs
    hld; DOUBLE ir irs wpa li; SMALLINT stint outs sd md; DOUBLE war ra9war
    """,
)

TEAM_BATTING_STATS = table(
    "team_batting_stats",
    ("team_id",),
    """
    INT! team_id; SMALLINT year; INT league_id; SMALLINT level_id split_id; INT pa ab h k tb s d t hr sb cs
    rbi r bb ibb hp sh sf ci gdp g gs ebh pitches_seen; DOUBLE avg obp slg rc rc27 iso woba ops sbp
    """,
)

TEAM_PITCHING_STATS = table(
    "team_pitching_stats",
    ("team_id",),
    """
    INT! team_id; SMALLINT year; INT league_id; SMALLINT level_id split_id; INT ab ip bf tb ha k rs bb r er
    gb fb pi ipf g gs w l s sa da sh sf ta hra bk ci iw wp hp gf dp qs svo bs ra cg sho sb cs hld; DOUBLE r9
    avg obp slg ops h9 k9 hr9 bb9 cgp fip qsp winp rsg svp bsvp gfp era pig ws whip gbfbp kbb babip
    """,
)

TEAM_RECORD = table(
    "team_record",
    ("team_id",),
    """
    INT! team_id; SMALLINT g w l t pos; DOUBLE pct gb; SMALLINT streak magic_number
    """,
)
