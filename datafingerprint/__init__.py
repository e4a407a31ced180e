"""Compares a live MySQL or MariaDB warehouse with its lake copy by sums of row digests."""
