"""The command that lists incidents."""
