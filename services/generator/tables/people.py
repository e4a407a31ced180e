"""Tables of players, injuries, trades, and news."""

from __future__ import annotations

from services.generator.tables.notation import table

PLAYERS = table(
    "players",
    (),
    """
    INT player_id team_id league_id; SMALLINT position role; VARCHAR(50) first_name last_name nick_name;
    SMALLINT age; DATE date_of_birth; INT city_of_birth_id nation_id second_nation_id; SMALLINT weight
    height; TINYINT retired free_agent; INT last_league_id last_team_id organization_id last_organization_id
    language_ids0 language_ids1; SMALLINT uniform_number experience person_type bats throws
    personality_greed personality_loyalty personality_play_for_winner personality_work_ethic
    personality_intelligence personality_leader; VARCHAR(50) historical_id historical_team_id; INT
    best_contract_offer_id; TINYINT injury_is_injured injury_dtd_injury injury_career_ending; SMALLINT
    injury_dl_left injury_dl_playoff_round injury_left dtd_injury_effect dtd_injury_effect_hit
    dtd_injury_effect_throw dtd_injury_effect_run injury_id injury_id2; TINYINT injury_dtd_injury2; SMALLINT
    injury_left2 dtd_injury_effect2 dtd_injury_effect_hit2 dtd_injury_effect_throw2 dtd_injury_effect_run2
    prone_overall prone_leg prone_back prone_arm fatigue_pitches0..5 fatigue_points; TINYINT
    fatigue_played_today college; SMALLINT acquired; DATE acquired_date; SMALLINT draft_year draft_round;
    TINYINT draft_supplemental; SMALLINT draft_pick draft_overall_pick; TINYINT draft_eligible; SMALLINT
    hsc_status; TINYINT redshirt picked_in_draft; SMALLINT school commit_school; TINYINT hidden; INT
    draft_league_id draft_team_id; TINYINT turned_coach hall_of_fame; SMALLINT rust inducted; TINYINT
    strategy_override_team; INT strategy_stealing strategy_running strategy_bunt_for_hit strategy_sac_bunt
    strategy_hit_run strategy_hook_start strategy_hook_relief strategy_pitch_count strategy_pitch_around;
    TINYINT strategy_never_pinch_hit strategy_defensive_sub strategy_dtd_sit_min strategy_dtd_allow_ph;
    SMALLINT local_pop national_pop; TINYINT draft_protected; SMALLINT morale morale_mod
    morale_player_performance morale_team_performance morale_team_transactions morale_team_chemistry
    morale_player_role expectation; TINYINT on_loan; INT loan_league_id loan_team_id
    """,
)

PLAYERS_INJURY_HISTORY = table(
    "players_injury_history",
    (),
    """
    INT player_id; DATE date; SMALLINT length setbacks; TINYINT day_to_day; SMALLINT effect body_part
    """,
)

TRADE_HISTORY = table(
    "trade_history",
    (),
    """
    DATE date; VARCHAR(255) summary; INT message_id team_id_0 player_id_0_0..9; SMALLINT draft_round_0_0;
    INT draft_team_0_0; SMALLINT draft_round_0_1; INT draft_team_0_1; SMALLINT draft_round_0_2; INT
    draft_team_0_2; SMALLINT draft_round_0_3; INT draft_team_0_3; SMALLINT draft_round_0_4; INT
    draft_team_0_4 cash_0 iafa_cap_0 team_id_1 player_id_1_0..9; SMALLINT draft_round_1_0; INT
    draft_team_1_0; SMALLINT draft_round_1_1; INT draft_team_1_1; SMALLINT draft_round_1_2; INT
    draft_team_1_2; SMALLINT draft_round_1_3; INT draft_team_1_3; SMALLINT draft_round_1_4; INT
    draft_team_1_4 cash_1 iafa_cap_1
    """,
)

MESSAGES = table(
    "messages",
    ("message_id",),
    """
    INT! message_id; VARCHAR(255) subject; INT player_id_0..9 team_id_0..4 league_id_0 league_id_1
    importance message_type; SMALLINT hype; INT sender_type sender_id recipient_id trade_id; DATE date;
    TINYINT deleted notify; INT ongoing_story_id; TINYINT text_is_modified
    """,
)

LEAGUE_EVENTS = table(
    "league_events",
    (),
    """
    INT league_id; DATE start_date; SMALLINT type; TINYINT event_over deleted; VARCHAR(50) name; TINYINT
    needs_human_action; SMALLINT real_sim_date
    """,
)
