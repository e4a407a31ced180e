"""The set-up of our sessions on the warehouse: the one definition for all parts.

The server's defaults and its `init_connect` belong to its operator. They may limit, reorder or alter the rows that we
read, so every setting that matters is set here. A variable that the server does not have is skipped. One that has its
value already is not set, because some need a privilege.
"""

from __future__ import annotations

from collections.abc import Mapping

NO_LIMIT = "18446744073709551615"

FIRST: tuple[str, ...] = (
    # First of all: these could limit or end the query of the variables itself. Both servers have all of them.
    (
        f"SET SESSION sql_mode = '', sql_select_limit = {NO_LIMIT}, max_join_size = {NO_LIMIT}, sql_big_selects = 1,"
        " completion_type = 0, autocommit = 1"
        " /*!50708 , max_execution_time = 0 */ /*M!100207 , max_statement_time = 0,"
        f" tmp_disk_table_size = {NO_LIMIT}, max_session_mem_used = 9223372036854775807 */"
    ),
    # `init_connect` may have begun a transaction, or changed the next one.
    "ROLLBACK AND NO CHAIN NO RELEASE",
    # By the collation's name: that of a character set alone is the server's choice.
    "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
)
"""The first statements of every session."""

_COMMON: Mapping[str, str] = {
    # Number of rows and time.
    "sql_select_limit": NO_LIMIT,
    "max_join_size": NO_LIMIT,
    "sql_big_selects": "ON",
    "sql_buffer_result": "OFF",
    "sql_safe_updates": "OFF",
    "query_cache_type": "OFF",
    "use_secondary_engine": "OFF",
    "wsrep_dirty_reads": "OFF",
    "system_versioning_asof": "DEFAULT",
    "tmp_disk_table_size": NO_LIMIT,
    # Memory: a statement beyond the first limit ends, and one beyond the second warns.
    "max_session_mem_used": "9223372036854775807",
    "range_optimizer_max_mem_size": "0",
    # Rendering, sorting and names.
    "time_zone": "+00:00",
    "lc_time_names": "en_US",
    "lc_messages": "en_US",
    "div_precision_increment": "4",
    "group_concat_max_len": "1048576",
    "max_sort_length": "1024",
    "default_week_format": "0",
    "sql_auto_is_null": "OFF",
    "sql_quote_show_create": "ON",
    "standard_compliant_cte": "ON",
    "old_mode": "UTF8_IS_UTF8MB3",
    "old": "OFF",
    "show_old_temporals": "OFF",
    "show_gipk_in_create_table_and_information_schema": "ON",
    "show_create_table_skip_secondary_engine": "OFF",
    "show_create_table_verbosity": "OFF",
    "information_schema_stats_expiry": "86400",
    "windowing_use_high_precision": "ON",
    # Transactions and views.
    "autocommit": "ON",
    "completion_type": "NO_CHAIN",
    "tx_read_only": "OFF",
    "transaction_read_only": "OFF",
    # Timeouts: a view waits while other tables are captured, a reader while the broker is slow.
    "wait_timeout": "604800",
    "net_read_timeout": "3600",
    "net_write_timeout": "3600",
    "lock_wait_timeout": "86400",
    "idle_transaction_timeout": "0",
    "idle_readonly_transaction_timeout": "0",
    "idle_write_transaction_timeout": "0",
}

READING: Mapping[str, str] = {
    **_COMMON,
    # Below this level the server silently ignores WITH CONSISTENT SNAPSHOT.
    "tx_isolation": "REPEATABLE-READ",
    "transaction_isolation": "REPEATABLE-READ",
    # Notes are not counted as warnings: only altered values count.
    "sql_notes": "OFF",
}
"""Variables of reading sessions: snapshot, audit, doctor, definitions, binlog."""

WRITING: Mapping[str, str] = {
    **_COMMON,
    # Full scans of a table without a key then leave no locks on rows that they skip.
    "tx_isolation": "READ-COMMITTED",
    "transaction_isolation": "READ-COMMITTED",
    "sql_notes": "ON",
    "max_error_count": "65535",
    "foreign_key_checks": "ON",
    "unique_checks": "ON",
    "check_constraint_checks": "ON",
    "default_storage_engine": "InnoDB",
    "innodb_strict_mode": "ON",
    "innodb_lock_wait_timeout": "50",
    "innodb_snapshot_isolation": "OFF",
    "explicit_defaults_for_timestamp": "ON",
    "restrict_fk_on_non_standard_key": "ON",
    "auto_increment_increment": "1",
    "auto_increment_offset": "1",
    "sql_if_exists": "OFF",
    "sql_require_primary_key": "OFF",
    "sql_generate_invisible_primary_key": "OFF",
    "sql_log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_value_options": "",
}
"""Variables of the generator's session."""

WRITING_MODE = (
    "SET SESSION sql_mode = CONCAT('STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"
    " /*!50708 , ',ONLY_FULL_GROUP_BY,NO_ZERO_IN_DATE,NO_ZERO_DATE' */)"
)
"""The default modes of each server, which store only valid values."""

IF_PERMITTED: frozenset[str] = frozenset(
    {
        "wsrep_dirty_reads",
        "system_versioning_asof",
        "max_error_count",
        "innodb_strict_mode",
        "explicit_defaults_for_timestamp",
        "restrict_fk_on_non_standard_key",
        "auto_increment_increment",
        "auto_increment_offset",
        "sql_require_primary_key",
        "sql_generate_invisible_primary_key",
        "binlog_row_value_options",
    }
)
"""Variables that keep their value if they may not be set: no row that is read depends on them."""
