"""Tables of games: line score, box scores, plate appearances."""

from __future__ import annotations

from services.generator.tables.notation import table

GAMES = table(
    "games",
    ("game_id",),
    """
    INT! game_id; INT league_id home_team away_team attendance; DATE date; SMALLINT time game_type; TINYINT
    played; SMALLINT innings runs0 runs1 hits0 hits1 errors0 errors1; INT winning_pitcher losing_pitcher
    save_pitcher starter0 starter1
    """,
)

GAMES_SCORE = table(
    "games_score",
    ("game_id", "team", "inning"),
    """
    INT! game_id; SMALLINT! team inning; SMALLINT score
    """,
)

PLAYERS_GAME_BATTING = table(
    "players_game_batting",
    (),
    """
    INT player_id; SMALLINT year; INT team_id game_id league_id; SMALLINT level_id split_id position ab h k
    pa pitches_seen g gs d t hr r rbi sb cs bb ibb gdp sh sf hp ci; DOUBLE wpa; SMALLINT stint; DOUBLE ubr
    """,
)

PLAYERS_GAME_PITCHING_STATS = table(
    "players_game_pitching_stats",
    (),
    """
    INT player_id; SMALLINT year; INT team_id game_id league_id; SMALLINT level_id split_id ip ab tb ha k bf
    rs bb r er gb fb pi ipf g gs w l s sa da sh sf ta hra bk ci iw wp hp gf dp qs svo bs ra cg sho sb cs
    hld; DOUBLE ir irs wpa li; SMALLINT stint outs sd md
    """,
)

PLAYERS_AT_BAT_BATTING_STATS = table(
    "players_at_bat_batting_stats",
    (),
    """
    INT player_id game_id opponent_player_id team_id; TINYINT sac; SMALLINT balls strikes result; TINYINT
    base1..3 Close pinch; SMALLINT inning run_diff outs sb cs rbi r spot hit_loc hit_xy exit_velo
    launch_angle
    """,
)
