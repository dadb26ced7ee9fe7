"""Real servers for the tests: one file a product. Start with ``server.py``, then ``conftest.py``.

A test asks for a fixture (``redis_server``) to share one server with the whole session, or for
its ``own_`` form (``own_redis_server``) to have one that it may kill, pause and start again.
"""
