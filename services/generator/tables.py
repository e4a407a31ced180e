"""The eight tables of the export: names, column order, types, nullability and keys.

They are those of an Out of the Park export. A column is written `name TYPE`, with `!` after it when it is
NOT NULL; a table without a key has an empty `key`, as the export has it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column as the export declares it."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class Table:
    """One table: columns in the export's order, and the columns of its key (none: the table has no key)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(column.name for column in self.columns)


def _column(text: str) -> Column:
    name, kind = text.split()
    return Column(name, kind.rstrip("!"), nullable=not kind.endswith("!"))


def _table(name: str, key: tuple[str, ...], columns: str) -> Table:
    return Table(name, tuple(_column(part) for part in columns.split(";")), key)


LEAGUES = _table(
    "leagues",
    ("league_id",),
    """
    league_id INT!; name VARCHAR(50); abbr VARCHAR(50); nation_id INT; language_id INT; gender INT;
    historical_league TINYINT; logo_file_name VARCHAR(200); players_path VARCHAR(200); start_date DATE;
    preferred_start_date DATE; pitcher_award_name VARCHAR(50); mvp_award_name VARCHAR(50); rookie_award_name
    VARCHAR(50); defense_award_name VARCHAR(50); fictional_players TINYINT; start_fantasy_draft TINYINT;
    trading_deadline TINYINT; winter_meetings TINYINT; arbitration_offering TINYINT; show_draft_pool
    TINYINT; rosters_expanded TINYINT; draft_date DATE; rule_5_draft_date DATE; international_fa_date DATE;
    roster_expand_date DATE; trade_deadline_date DATE; allstar_date DATE; days_until_deadline INT;
    next_draft_type INT; parent_league_id INT; league_state SMALLINT; season_year INT; historical_year
    SMALLINT; league_level SMALLINT; stats_detail INT; historical_import_path VARCHAR(200);
    foreigner_percentage SMALLINT; was_ootp6 TINYINT; was_65 TINYINT; allstar_game TINYINT;
    auto_schedule_allstar TINYINT; allstar_team_id0 INT; allstar_team_id1 INT; schedule_file_1 VARCHAR(200);
    schedule_file_2 VARCHAR(200); rules_rule_5 TINYINT; rules_minor_league_options TINYINT; rules_trading
    TINYINT; rules_trading_deadline_events SMALLINT; rules_draft_pick_trading TINYINT; rules_financials
    TINYINT; rules_amateur_draft TINYINT; rules_fa_compensation SMALLINT; rules_schedule_balanced TINYINT;
    rules_schedule_inter_league TINYINT; rules_schedule_force_start_day TINYINT; rules_trades_other_leagues
    TINYINT; rules_free_agents_from_other_leagues TINYINT; rules_free_agents_leave_other_leagues TINYINT;
    rules_allstar_game TINYINT; rules_spring_training TINYINT; rules_active_roster_limit SMALLINT;
    rules_secondary_roster_limit SMALLINT; rules_expanded_roster_limit SMALLINT; rules_min_service_days
    SMALLINT; rules_waiver_period_length SMALLINT; rules_dfa_period_length SMALLINT; rules_fa_minimum_years
    SMALLINT; rules_salary_arbitration_minimum_years SMALLINT; rules_minor_league_fa_minimum_years SMALLINT;
    rules_foreigner_limit SMALLINT; rules_foreigner_pitcher_limit SMALLINT; rules_foreigner_hitter_limit
    SMALLINT; rules_schedule_games_per_team SMALLINT; rules_schedule_typical_series SMALLINT;
    rules_schedule_game_times SMALLINT; rules_schedule_preferred_start_day SMALLINT;
    rules_amateur_draft_rounds SMALLINT; rules_minimum_salary INT; rules_salary_cap INT;
    rules_player_salary0 INT; rules_player_salary1 INT; rules_player_salary2 INT; rules_player_salary3 INT;
    rules_player_salary4 INT; rules_player_salary5 INT; rules_player_salary6 INT; rules_player_salary7 INT;
    rules_average_coach_salary INT; rules_average_attendance INT; rules_average_national_media_contract INT;
    rules_cash_maximum INT; rules_average_ticket_price DOUBLE; rules_luxury_sharing TINYINT;
    rules_revenue_sharing TINYINT; rules_revenue_sharing_tax SMALLINT; rules_luxury_sharing_cap SMALLINT;
    rules_luxury_tax SMALLINT; rules_national_media_contract_fixed TINYINT; rules_owner_decides_budget
    TINYINT; rules_schedule_auto_adjust_dates TINYINT; rules_historical_import_rookies TINYINT;
    avg_rating_contact INT; avg_rating_gap INT; avg_rating_power INT; avg_rating_eye INT;
    avg_rating_strikeouts INT; avg_rating_stuff INT; avg_rating_movement INT; avg_rating_control INT;
    avg_rating_fielding0 INT; avg_rating_fielding1 INT; avg_rating_fielding2 INT; avg_rating_fielding3 INT;
    avg_rating_fielding4 INT; avg_rating_fielding5 INT; avg_rating_fielding6 INT; avg_rating_fielding7 INT;
    avg_rating_fielding8 INT; avg_rating_fielding9 INT; avg_rating_overall INT; avg_rating_age DOUBLE;
    league_totals_ab INT; league_totals_h INT; league_totals_d INT; league_totals_t INT; league_totals_hr
    INT; league_totals_bb INT; league_totals_hp INT; league_totals_k INT; league_totals_pa INT;
    league_totals_babip DOUBLE; league_totals_mod_h DOUBLE; league_totals_mod_d DOUBLE; league_totals_mod_t
    DOUBLE; league_totals_mod_hr DOUBLE; league_totals_mod_bb DOUBLE; league_totals_mod_hp DOUBLE;
    league_totals_mod_k DOUBLE; league_totals_mod_babip DOUBLE; ml_equivalencies_avg DOUBLE;
    ml_equivalencies_hr DOUBLE; ml_equivalencies_eb DOUBLE; ml_equivalencies_bb DOUBLE; ml_equivalencies_k
    DOUBLE; ml_equivalencies_hp DOUBLE; player_creation_modifier_contact DOUBLE;
    player_creation_modifier_gap DOUBLE; player_creation_modifier_power DOUBLE; player_creation_modifier_eye
    DOUBLE; player_creation_modifier_strikeouts DOUBLE; player_creation_modifier_stuff DOUBLE;
    player_creation_modifier_movement DOUBLE; player_creation_modifier_control DOUBLE;
    player_creation_modifier_speed DOUBLE; player_creation_modifier_fielding DOUBLE; financial_coefficient
    DOUBLE; world_start_year INT; current_date DATE; background_color_id VARCHAR(8); text_color_id
    VARCHAR(8); scouting_coach_id INT
    """,
)

TEAMS = _table(
    "teams",
    ("team_id",),
    """
    team_id INT!; name VARCHAR(50); abbr VARCHAR(50); nickname VARCHAR(50); logo_file_name VARCHAR(200);
    city_id INT; park_id INT; league_id INT; sub_league_id INT; division_id INT; nation_id INT;
    parent_team_id INT; level INT; prevent_any_moves TINYINT; human_team TINYINT; human_id INT; gender INT;
    background_color_id VARCHAR(8); text_color_id VARCHAR(8); ballcaps_main_color_id VARCHAR(8);
    ballcaps_visor_color_id VARCHAR(8); jersey_main_color_id VARCHAR(8); jersey_away_color_id VARCHAR(8);
    jersey_secondary_color_id VARCHAR(8); jersey_pin_stripes_color_id VARCHAR(8); allstar_team TINYINT;
    historical_id VARCHAR(50)
    """,
)

PLAYERS = _table(
    "players",
    (),
    """
    player_id INT; team_id INT; league_id INT; position SMALLINT; role SMALLINT; first_name VARCHAR(50);
    last_name VARCHAR(50); nick_name VARCHAR(50); age SMALLINT; date_of_birth DATE; city_of_birth_id INT;
    nation_id INT; second_nation_id INT; weight SMALLINT; height SMALLINT; retired TINYINT; free_agent
    TINYINT; last_league_id INT; last_team_id INT; organization_id INT; last_organization_id INT;
    language_ids0 INT; language_ids1 INT; uniform_number SMALLINT; experience SMALLINT; person_type
    SMALLINT; bats SMALLINT; throws SMALLINT; personality_greed SMALLINT; personality_loyalty SMALLINT;
    personality_play_for_winner SMALLINT; personality_work_ethic SMALLINT; personality_intelligence
    SMALLINT; personality_leader SMALLINT; historical_id VARCHAR(50); historical_team_id VARCHAR(50);
    best_contract_offer_id INT; injury_is_injured TINYINT; injury_dtd_injury TINYINT; injury_career_ending
    TINYINT; injury_dl_left SMALLINT; injury_dl_playoff_round SMALLINT; injury_left SMALLINT;
    dtd_injury_effect SMALLINT; dtd_injury_effect_hit SMALLINT; dtd_injury_effect_throw SMALLINT;
    dtd_injury_effect_run SMALLINT; injury_id SMALLINT; injury_id2 SMALLINT; injury_dtd_injury2 TINYINT;
    injury_left2 SMALLINT; dtd_injury_effect2 SMALLINT; dtd_injury_effect_hit2 SMALLINT;
    dtd_injury_effect_throw2 SMALLINT; dtd_injury_effect_run2 SMALLINT; prone_overall SMALLINT; prone_leg
    SMALLINT; prone_back SMALLINT; prone_arm SMALLINT; fatigue_pitches0 SMALLINT; fatigue_pitches1 SMALLINT;
    fatigue_pitches2 SMALLINT; fatigue_pitches3 SMALLINT; fatigue_pitches4 SMALLINT; fatigue_pitches5
    SMALLINT; fatigue_points SMALLINT; fatigue_played_today TINYINT; college TINYINT; acquired SMALLINT;
    acquired_date DATE; draft_year SMALLINT; draft_round SMALLINT; draft_supplemental TINYINT; draft_pick
    SMALLINT; draft_overall_pick SMALLINT; draft_eligible TINYINT; hsc_status SMALLINT; redshirt TINYINT;
    picked_in_draft TINYINT; school SMALLINT; commit_school SMALLINT; hidden TINYINT; draft_league_id INT;
    draft_team_id INT; turned_coach TINYINT; hall_of_fame TINYINT; rust SMALLINT; inducted SMALLINT;
    strategy_override_team TINYINT; strategy_stealing INT; strategy_running INT; strategy_bunt_for_hit INT;
    strategy_sac_bunt INT; strategy_hit_run INT; strategy_hook_start INT; strategy_hook_relief INT;
    strategy_pitch_count INT; strategy_pitch_around INT; strategy_never_pinch_hit TINYINT;
    strategy_defensive_sub TINYINT; strategy_dtd_sit_min TINYINT; strategy_dtd_allow_ph TINYINT; local_pop
    SMALLINT; national_pop SMALLINT; draft_protected TINYINT; morale SMALLINT; morale_mod SMALLINT;
    morale_player_performance SMALLINT; morale_team_performance SMALLINT; morale_team_transactions SMALLINT;
    morale_team_chemistry SMALLINT; morale_player_role SMALLINT; expectation SMALLINT; on_loan TINYINT;
    loan_league_id INT; loan_team_id INT
    """,
)

GAMES = _table(
    "games",
    ("game_id",),
    """
    game_id INT!; league_id INT; home_team INT; away_team INT; attendance INT; date DATE; time SMALLINT;
    game_type SMALLINT; played TINYINT; innings SMALLINT; runs0 SMALLINT; runs1 SMALLINT; hits0 SMALLINT;
    hits1 SMALLINT; errors0 SMALLINT; errors1 SMALLINT; winning_pitcher INT; losing_pitcher INT;
    save_pitcher INT; starter0 INT; starter1 INT
    """,
)

GAMES_SCORE = _table(
    "games_score",
    ("game_id", "team", "inning"),
    """
    game_id INT!; team SMALLINT!; inning SMALLINT!; score SMALLINT
    """,
)

PLAYERS_GAME_BATTING = _table(
    "players_game_batting",
    (),
    """
    player_id INT; year SMALLINT; team_id INT; game_id INT; league_id INT; level_id SMALLINT; split_id
    SMALLINT; position SMALLINT; ab SMALLINT; h SMALLINT; k SMALLINT; pa SMALLINT; pitches_seen SMALLINT; g
    SMALLINT; gs SMALLINT; d SMALLINT; t SMALLINT; hr SMALLINT; r SMALLINT; rbi SMALLINT; sb SMALLINT; cs
    SMALLINT; bb SMALLINT; ibb SMALLINT; gdp SMALLINT; sh SMALLINT; sf SMALLINT; hp SMALLINT; ci SMALLINT;
    wpa DOUBLE; stint SMALLINT; ubr DOUBLE
    """,
)

PLAYERS_AT_BAT_BATTING_STATS = _table(
    "players_at_bat_batting_stats",
    (),
    """
    player_id INT; game_id INT; opponent_player_id INT; team_id INT; sac TINYINT; balls SMALLINT; strikes
    SMALLINT; result SMALLINT; base1 TINYINT; base2 TINYINT; base3 TINYINT; Close TINYINT; pinch TINYINT;
    inning SMALLINT; run_diff SMALLINT; outs SMALLINT; sb SMALLINT; cs SMALLINT; rbi SMALLINT; r SMALLINT;
    spot SMALLINT; hit_loc SMALLINT; hit_xy SMALLINT; exit_velo SMALLINT; launch_angle SMALLINT
    """,
)

TEAM_RECORD = _table(
    "team_record",
    ("team_id",),
    """
    team_id INT!; g SMALLINT; w SMALLINT; l SMALLINT; t SMALLINT; pos SMALLINT; pct DOUBLE; gb DOUBLE;
    streak SMALLINT; magic_number SMALLINT
    """,
)

# In the order in which they are loaded: a table with rows is complete, the last one says that all are.
TABLES = (
    LEAGUES,
    TEAMS,
    PLAYERS,
    GAMES,
    GAMES_SCORE,
    PLAYERS_GAME_BATTING,
    PLAYERS_AT_BAT_BATTING_STATS,
    TEAM_RECORD,
)
BY_NAME = {table.name: table for table in TABLES}
