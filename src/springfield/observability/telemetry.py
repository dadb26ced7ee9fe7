"""In charge of putting together what observes one service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from springfield.observability.events import Events
from springfield.observability.heartbeat import Heartbeat
from springfield.observability.logs import Thresholds, log_events
from springfield.observability.metrics import Metrics
from springfield.observability.watchdog import watching_loop


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is told of a service, and what was made of it."""

    events: Events
    metrics: Metrics
    heartbeat: Heartbeat
    thresholds: Thresholds


@contextmanager
def observing(slow_request: float, blocked_loop: float) -> Iterator[Telemetry]:
    """Log and count what happens on the loop that runs, until the context is left; in seconds."""
    events = Events()
    thresholds = Thresholds(slow_request, blocked_loop)
    log_events(events, thresholds)
    metrics = Metrics()
    metrics.subscribe(events)
    heartbeat = Heartbeat(events)
    age = "springfield_event_loop_age_seconds"
    metrics.gauges.add(age, "Seconds since the loop's last heartbeat.", heartbeat.age)
    with heartbeat.beating(), watching_loop(heartbeat, events, blocked_loop):
        yield Telemetry(events, metrics, heartbeat, thresholds)
