"""Keeps items in Redis and Valkey. Start at `adapter.py`."""
