"""The admin listener's side of HTTP: probes, metrics, what runs, switches. Never on the public port.

`routes.py` shows every URL and what the handlers are given. May import what `web` may. The handlers run
on the listener's own thread and loop: what they call is safe there.
"""
