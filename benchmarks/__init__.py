"""The benchmark: Springfield and its peers, side by side on one machine. Start with ``__main__.py``.

The runner and Springfield live in ``.venv``, the peers in a virtual environment of their own: the
one imports nothing of the other.
"""
