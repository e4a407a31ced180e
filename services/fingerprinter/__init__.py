"""Keeps the sums of both sides and judges every lake commit."""
