"""Keeps items in MongoDB. Start at `adapter.py`."""
