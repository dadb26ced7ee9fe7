"""What happened, and who takes note of it: events, and the logs, metrics and traces made of them.

Code publishes an event (`events.py`) and knows nobody who listens. Imports nothing of
ours. Start at `events.py`.
"""
