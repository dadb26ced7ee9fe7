"""Gathers calls of concurrent requests into waves. Start at `../coalesced.py`, then `waves.py`."""
