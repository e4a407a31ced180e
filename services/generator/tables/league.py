"""Tables of the league: leagues, sub-leagues, divisions, teams, parks."""

from __future__ import annotations

from services.generator.tables.notation import table

LEAGUES = table(
    "leagues",
    ("league_id",),
    """
    INT! league_id; VARCHAR(50) name abbr; INT nation_id language_id gender; TINYINT historical_league;
    VARCHAR(200) logo_file_name players_path; DATE start_date preferred_start_date; VARCHAR(50)
    pitcher_award_name mvp_award_name rookie_award_name defense_award_name; TINYINT fictional_players
    start_fantasy_draft trading_deadline winter_meetings arbitration_offering show_draft_pool
    rosters_expanded; DATE draft_date rule_5_draft_date international_fa_date roster_expand_date
    trade_deadline_date allstar_date; INT days_until_deadline next_draft_type parent_league_id; SMALLINT
    league_state; INT season_year; SMALLINT historical_year league_level; INT stats_detail; VARCHAR(200)
    historical_import_path; SMALLINT foreigner_percentage; TINYINT was_ootp6 was_65 allstar_game
    auto_schedule_allstar; INT allstar_team_id0 allstar_team_id1; VARCHAR(200) schedule_file_1
    schedule_file_2; TINYINT rules_rule_5 rules_minor_league_options rules_trading; SMALLINT
    rules_trading_deadline_events; TINYINT rules_draft_pick_trading rules_financials rules_amateur_draft;
    SMALLINT rules_fa_compensation; TINYINT rules_schedule_balanced rules_schedule_inter_league
    rules_schedule_force_start_day rules_trades_other_leagues rules_free_agents_from_other_leagues
    rules_free_agents_leave_other_leagues rules_allstar_game rules_spring_training; SMALLINT
    rules_active_roster_limit rules_secondary_roster_limit rules_expanded_roster_limit
    rules_min_service_days rules_waiver_period_length rules_dfa_period_length rules_fa_minimum_years
    rules_salary_arbitration_minimum_years rules_minor_league_fa_minimum_years rules_foreigner_limit
    rules_foreigner_pitcher_limit rules_foreigner_hitter_limit rules_schedule_games_per_team
    rules_schedule_typical_series rules_schedule_game_times rules_schedule_preferred_start_day
    rules_amateur_draft_rounds; INT rules_minimum_salary rules_salary_cap rules_player_salary0..7
    rules_average_coach_salary rules_average_attendance rules_average_national_media_contract
    rules_cash_maximum; DOUBLE rules_average_ticket_price; TINYINT rules_luxury_sharing
    rules_revenue_sharing; SMALLINT rules_revenue_sharing_tax rules_luxury_sharing_cap rules_luxury_tax;
    TINYINT rules_national_media_contract_fixed rules_owner_decides_budget rules_schedule_auto_adjust_dates
    rules_historical_import_rookies; INT avg_rating_contact avg_rating_gap avg_rating_power avg_rating_eye
    avg_rating_strikeouts avg_rating_stuff avg_rating_movement avg_rating_control avg_rating_fielding0..9
    avg_rating_overall; DOUBLE avg_rating_age; INT league_totals_ab league_totals_h league_totals_d
    league_totals_t league_totals_hr league_totals_bb league_totals_hp league_totals_k league_totals_pa;
    DOUBLE league_totals_babip league_totals_mod_h league_totals_mod_d league_totals_mod_t
    league_totals_mod_hr league_totals_mod_bb league_totals_mod_hp league_totals_mod_k
    league_totals_mod_babip ml_equivalencies_avg ml_equivalencies_hr ml_equivalencies_eb ml_equivalencies_bb
    ml_equivalencies_k ml_equivalencies_hp player_creation_modifier_contact player_creation_modifier_gap
    player_creation_modifier_power player_creation_modifier_eye player_creation_modifier_strikeouts
    player_creation_modifier_stuff player_creation_modifier_movement player_creation_modifier_control
    player_creation_modifier_speed player_creation_modifier_fielding financial_coefficient; INT
    world_start_year; DATE current_date; VARCHAR(8) background_color_id text_color_id; INT scouting_coach_id
    """,
)

SUB_LEAGUES = table(
    "sub_leagues",
    ("league_id", "sub_league_id"),
    """
    INT! league_id sub_league_id; VARCHAR(50) name abbr; INT gender; TINYINT designated_hitter
    """,
)

DIVISIONS = table(
    "divisions",
    ("league_id", "sub_league_id", "division_id"),
    """
    INT! league_id sub_league_id division_id; VARCHAR(50) name; INT gender
    """,
)

TEAMS = table(
    "teams",
    ("team_id",),
    """
    INT! team_id; VARCHAR(50) name abbr nickname; VARCHAR(200) logo_file_name; INT city_id park_id league_id
    sub_league_id division_id nation_id parent_team_id level; TINYINT prevent_any_moves human_team; INT
    human_id gender; VARCHAR(8) background_color_id text_color_id ballcaps_main_color_id
    ballcaps_visor_color_id jersey_main_color_id jersey_away_color_id jersey_secondary_color_id
    jersey_pin_stripes_color_id; TINYINT allstar_team; VARCHAR(50) historical_id
    """,
)

PARKS = table(
    "parks",
    ("park_id",),
    """
    INT! park_id; SMALLINT dimensions_x dimensions_y batter_left_x batter_left_y batter_right_x
    batter_right_y bases_x0..2 bases_y0..2 positions_x0..9 positions_y0..9; DOUBLE avg avg_l avg_r d t hr
    hr_r hr_l; SMALLINT temperature0..11 rain0..11 wind wind_direction distances0..6 wall_heights0..6;
    VARCHAR(100) name; VARCHAR(200) picture picture_night; INT nation_id capacity; SMALLINT type
    foul_ground; TINYINT turf; INT gender; VARCHAR(200) model_folder file_name_3d_model; TINYINT
    home_team_dugout_is_at_first_base
    """,
)
