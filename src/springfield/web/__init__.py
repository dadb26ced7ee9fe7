"""The HTTP side: `routes.py` shows every URL, `problems.py` turns errors into answers.

May import `resources`, `health`, `upstream`, `model`, `content`, `errors`; never names a store's adapter.
"""
