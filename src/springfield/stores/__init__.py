"""The stores: the port (`store.py`), one adapter a file, and what wraps them.

May import `content`, `model` and `errors`; is the only package that imports database drivers.
Start at `store.py`, then read `sqlite/adapter.py`, the shortest complete one.
"""
