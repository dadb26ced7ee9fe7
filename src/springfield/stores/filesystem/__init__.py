"""Keeps one object as a plain file. Start at `object.py`."""
