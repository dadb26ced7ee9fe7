"""In charge of counting PyMongo's connections, by the events that it publishes of its pools."""

from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
)

from springfield.stores.store import PoolStatus


class PoolCounter(ConnectionPoolListener):
    """Counts the connections of one client, to all servers of its cluster together."""

    def __init__(self) -> None:
        self.open = 0
        self.in_use = 0
        self.waiting = 0

    def status(self, size: float) -> PoolStatus:
        """Give the numbers of pools of `size`. Any thread may ask."""
        return PoolStatus(size, self.open, self.in_use, self.waiting)

    def connection_created(self, _: ConnectionCreatedEvent) -> None:
        """Count it."""
        self.open += 1

    def connection_closed(self, _: ConnectionClosedEvent) -> None:
        """Count it."""
        self.open -= 1

    def connection_check_out_started(self, _: ConnectionCheckOutStartedEvent) -> None:
        """Count who waits."""
        self.waiting += 1

    def connection_check_out_failed(self, _: ConnectionCheckOutFailedEvent) -> None:
        """Count who waits no more."""
        self.waiting -= 1

    def connection_checked_out(self, _: ConnectionCheckedOutEvent) -> None:
        """Count what is lent."""
        self.waiting -= 1
        self.in_use += 1

    def connection_checked_in(self, _: ConnectionCheckedInEvent) -> None:
        """Count what is given back."""
        self.in_use -= 1

    # Nothing is counted of these.

    def pool_created(self, _: PoolCreatedEvent) -> None:
        """See ConnectionPoolListener."""

    def pool_ready(self, _: PoolReadyEvent) -> None:
        """See ConnectionPoolListener."""

    def pool_cleared(self, _: PoolClearedEvent) -> None:
        """See ConnectionPoolListener."""

    def pool_closed(self, _: PoolClosedEvent) -> None:
        """See ConnectionPoolListener."""

    def connection_ready(self, _: ConnectionReadyEvent) -> None:
        """See ConnectionPoolListener."""
