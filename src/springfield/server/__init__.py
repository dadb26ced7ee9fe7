"""The running process: `lifecycle.py` binds, serves and stops; `engine/` speaks HTTP.

May import `assembly`, `opening`, `settings` and `web`. Start at `lifecycle.py`.
"""
