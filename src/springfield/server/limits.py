"""In charge of the numbers that bound one connection: bytes, counts and seconds.

Every wait and every buffer of the engine has its bound here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. Sizes are bytes, times are seconds."""

    accepted_at_once: int = 16
    """Connections that are accepted in one turn of the loop."""
    head_size: int = 64 * 1024
    """Request line and header fields together: 431 beyond it."""
    field_count: int = 100
    """Header fields of one request: 431 beyond it."""
    target_size: int = 16 * 1024
    """The request target: 414 beyond it."""
    overhead_size: int = 16 * 1024
    """Chunk extensions or trailers without any content between them: 431 beyond it."""
    head_timeout: float = 30.0
    """From the first byte of a head to its last: 408 beyond it."""
    idle_timeout: float = 75.0
    """Between two requests, or before the first."""
    body_timeout: float = 30.0
    """Without any byte of a body that is being read: 408 beyond it."""
    write_timeout: float = 30.0
    """Without any byte of an answer being taken by the client."""
    linger_size: int = 8 * 1024 * 1024
    """Of a request that was answered early, read away so that the answer arrives."""
    linger_timeout: float = 5.0
    """Likewise, in seconds; then the connection is cut."""
    half_closed_timeout: float = 1.0
    """From a client's end of file to the verdict that it is gone, while no answer has begun.

    TCP says the same for `shutdown` and for `close`. Whoever only shut down its sending side gets
    what is answered within this time; whoever went away has its handler told after it.
    """

    @property
    def shortest(self) -> float:
        """The shortest of the times."""
        return min(
            self.head_timeout,
            self.idle_timeout,
            self.body_timeout,
            self.write_timeout,
            self.linger_timeout,
            self.half_closed_timeout,
        )
