"""Receivers of alerts: those that Apprise knows, and a signed webhook."""
