"""Springfield: one small resource API in front of the stores a team already runs.

Start reading at `web/routes.py` (every URL) and `assembly.py` (how the parts meet).
"""

__version__ = "0.1.0"
