"""Keeps items in SQLite. Start at `adapter.py`."""
