"""Springfield's own wire engine: llhttp reads requests, Tornado's public interfaces take them.

Start with `server.py`, then `protocol.py`. May import `springfield.web.problems` for the bodies of
refusals; knows no handler and no store.
"""
