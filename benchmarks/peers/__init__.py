"""The peers: the same routes in other frameworks, each the way its own documentation teaches.

They share their drivers (``pools.py``) and nothing else, and import nothing of Springfield. Start
with ``starlette_app.py``.
"""
