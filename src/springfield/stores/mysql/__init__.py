"""Keeps items in MySQL and MariaDB. Start at `adapter.py`."""
