"""In charge of one connection: bytes in, requests to the delegate, one at a time and in order.

Reading, handling and writing are never ahead of each other by more than one read of 64 KiB: while
a request is handled, what its client sends is kept as bytes, and then no more is read.
"""

import asyncio
import logging
from collections.abc import Awaitable
from math import inf
from typing import cast

from springfield.observability.trace_context import current
from springfield.server.engine.connection import Connection
from springfield.server.engine.connections import Connections
from springfield.server.engine.exchange import Exchange
from springfield.server.engine.head import Head
from springfield.server.engine.inflow import Inflow
from springfield.server.engine.lingering import Lingering
from springfield.server.engine.outflow import Outflow
from springfield.server.engine.parser import RequestParser
from springfield.server.engine.refusals import Refusal, refusal_for, trace_of
from springfield.server.peer import Peer

log = logging.getLogger("springfield.server")


class WireProtocol(Connection):
    """A connection: idle, or with the one exchange that is being read or answered."""

    __slots__ = (
        "_awaited",
        "_discarded",
        "_exchange",
        "_is_closing",
        "_is_idle",
        "_is_new",
        "_parser",
        "_rest",
        "_since",
        "inflow",
    )

    inflow: Inflow

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._parser = RequestParser(connections.limits, connections.familiar)
        self._exchange: Exchange | None = None
        self._awaited: asyncio.Future[None] | None = None  # what the delegate asked to wait for
        self._discarded = 0
        self._is_idle = True  # until the first byte of a request
        self._is_new = True  # until its first request has begun
        self._is_closing = False
        self._since = inf  # the first byte of a head that came in pieces, by the loop's clock
        self._rest: asyncio.TimerHandle | None = None  # no other request is begun before it

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self.context = Peer(transport)
        self.inflow = Inflow(self._transport)
        self.outflow = Outflow(
            self._transport, self._limits.write_timeout, self._connections.departures
        )
        self._set_deadline(self._limits.idle_timeout)
        self._connections.add(self)
        self.outflow.begin()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.inflow.add(bytes(self._connections.inbox[:nbytes]))
        self._pump()

    def eof_received(self) -> bool:
        """Keep the way out open while something is to be answered: the client may still listen."""
        self.inflow.is_at_end = True
        self.outflow.leave()  # or it would come too late where the loop closes
        if self._is_closing or self.context.protocol == "https":  # TLS has no half-closed state
            return False
        exchange = self._exchange
        is_owed = exchange is not None and (exchange.is_received or self._parser.is_complete)
        if not is_owed and not self.inflow.has_more:
            return False
        self._doubt()
        return True

    def resume_writing(self) -> None:
        """Go on with what had to wait for it."""
        super().resume_writing()
        if self._exchange is None:
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody whom it concerns, once."""
        self._is_closing = True
        self._give_up()
        super().connection_lost(exc)
        self._on_lost()

    def _on_lost(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._parser.close()
        self._connections.delegate.on_close(self)

    # Requests.

    def _pump(self) -> None:
        """Read on while there are bytes and nobody asked to wait."""
        while self.inflow.has_more and not self._is_held():
            try:
                self.inflow.feed(self._parser)
            except Refusal as refusal:
                self._refuse(refusal)
                return
            self._dispatch()
        if self._is_closing:
            return
        self.inflow.steer()
        if self.inflow.is_at_end and not self._is_held():
            self.end()  # the rest of the request will never come
        elif self._is_idle and not self._parser.is_between:
            self._is_idle = False
            self._since = self._loop.time()
            self._set_deadline(self._limits.head_timeout)

    def _is_held(self) -> bool:
        if self._is_closing or self._awaited is not None:
            return True
        if self._exchange is None:
            if self._rest is not None:
                return True
            return self.outflow.is_paused  # or a client that only sends would fill the memory
        return self._exchange.is_received

    def _dispatch(self) -> None:
        try:
            if self._exchange is not None:
                self._deliver(self._exchange)
            elif self._parser.head is not None:
                self._begin(self._parser.head)
            else:
                return
            if self._awaited is None:
                self._settle()
        except Exception as error:  # noqa: BLE001 - refusal_for logs what is a defect
            self._refuse(refusal_for(error))

    def _begin(self, head: Head) -> None:
        self._is_idle = self._is_new = False
        self._deadline = inf
        if head.scheme not in {None, self.context.protocol}:
            raise Refusal(  # RFC 9110, section 7.4
                "misdirected-request", f"This is not {head.scheme}, as the request target says."
            )
        exchange = Exchange(self, head)
        exchange.delegate = self._connections.delegate.start_request(self, exchange)
        self._exchange = exchange
        awaitable = exchange.delegate.headers_received(head.start_line, head.headers)
        if awaitable is not None:
            self._await(awaitable)

    def _deliver(self, exchange: Exchange) -> None:
        body = self._parser.take_body()
        if not exchange.is_answered:
            awaitable = exchange.delegate.data_received(body) if body else None
            if awaitable is not None:
                self._await(awaitable)
            return
        self._discarded += len(body)
        if self._discarded > self._limits.linger_size:
            self.end()

    def _await(self, awaitable: Awaitable[None]) -> None:
        """Read nothing on before `awaitable` is done."""
        future = asyncio.ensure_future(awaitable)
        if future.done():
            future.result()
            return
        self._awaited = future
        self._deadline = inf
        future.add_done_callback(self._resume)

    def _resume(self, future: "asyncio.Future[None]") -> None:
        if future is not self._awaited:
            # The answer was given, or the client went away, before the delegate was done.
            if not future.cancelled():
                future.exception()
            return
        self._awaited = None
        if future.cancelled():
            self.end()
            return
        try:
            future.result()
            self._settle()
        except Exception as error:  # noqa: BLE001 - refusal_for logs what is a defect
            self._refuse(refusal_for(error))
            return
        self._pump()

    def _settle(self) -> None:
        """Go on behind a head or a part of a body that the delegate has taken."""
        exchange = self._exchange
        if exchange is None or self._is_closing:
            return
        if not self._parser.is_complete:
            if exchange.awaits_continue:
                exchange.awaits_continue = False
                if not self.inflow.has_more:  # else it did not wait
                    _ = self.outflow.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if not exchange.is_answered:
                self._set_deadline(self._limits.body_timeout)
            return
        self._parser.next()
        exchange.is_received = True
        if exchange.is_answered:
            self._over(exchange)
            return
        self._deadline = inf
        if self.inflow.is_at_end:
            self._doubt()
        delegate = exchange.delegate
        del exchange.delegate  # it is told nothing more, and its answer may take minutes
        delegate.finish()

    # Answers.

    @property
    def is_last(self) -> bool:
        """Whether no more requests are wanted on this connection."""
        return self._connections.is_stopping or (self.inflow.is_at_end and not self.inflow.has_more)

    def answer_begun(self) -> None:
        """Take note that something of the answer was written: writes will tell who is gone."""
        if self.inflow.is_at_end:
            self._deadline = inf

    def rest(self, seconds: float) -> None:
        """See Wire: what the client sends meanwhile waits, in the kernel for the most part."""
        if self._rest is None:
            self._rest = self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._rest = None
        if not self._is_closing:
            self._pump()

    def answered(self, exchange: Exchange) -> None:
        """Take note that the whole answer was written."""
        if exchange.is_received:
            self._over(exchange)
            return
        self._awaited = None
        # Not now: the handler is in the middle of its finish().
        self._loop.call_soon(self._answered_early, exchange)

    def _answered_early(self, exchange: Exchange) -> None:
        exchange.lose()
        if self._exchange is not exchange or self._is_closing:
            return
        if exchange.is_kept_alive:  # the rest of the body is read away, up to the next request
            self._set_deadline(self._limits.linger_timeout)
            self._settle()
            self._pump()
        else:
            self._linger()

    def _over(self, exchange: Exchange) -> None:
        self._exchange = None
        self._discarded = 0
        self._is_idle = True
        self._since = inf
        if not exchange.is_kept_alive:
            if self.inflow.has_more:
                self._linger()
            else:
                self.end()
            return
        self._set_deadline(self._limits.idle_timeout)
        if self.inflow.has_more:
            self._loop.call_soon(self._pump)
        elif self.inflow.is_at_end:
            self.end()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a problem if nothing else was answered, and end the connection."""
        head = self._parser.head
        trace = trace_of(None if head is None else head.headers)
        before = current.set(trace)
        log.info("refused a request of %s: %s", self.context, refusal)
        current.reset(before)
        is_begun = self._exchange is not None and self._exchange.is_begun
        self._give_up()
        if is_begun:
            self.end()  # the handler has told of its answer
            return
        request = None if head is None else head.start_line
        answer = refusal.answer(request, trace)
        _ = self.outflow.write(answer)
        seconds = max(0.0, self._loop.time() - self._since)
        self._connections.tell(refusal.told(request, trace, answer, seconds, self.context))
        self._linger()

    def _give_up(self) -> None:
        exchange, self._exchange, self._awaited = self._exchange, None, None
        if exchange is not None:
            exchange.lose()

    # Time.

    def expire(self) -> None:
        """See Connection: the client was too slow, or is gone."""
        exchange = self._exchange
        if exchange is None and self._parser.is_between:
            self.end()
        elif exchange is None or not (exchange.is_received or exchange.is_answered):
            self._refuse(Refusal("request-timeout", "The request did not come in time."))
        else:
            self.end()  # half-closed for so long that it is gone, or too slow to be read away

    def _doubt(self) -> None:
        """Half-closed: give an answer some time to begin; see Limits.half_closed_timeout."""
        exchange = self._exchange
        if exchange is not None and exchange.is_received and not exchange.is_begun:
            self._set_deadline(self._limits.half_closed_timeout)

    # The end.

    def _linger(self) -> None:
        """Close when the client has closed; until then what it sends is read away."""
        self._is_closing = True
        self._exchange = None
        if self.inflow.is_at_end:
            self.end()
            return
        self._connections.discard(self)
        lingering = Lingering(
            self._connections, self._transport, self.context, self.outflow, self._on_lost
        )
        self._transport.set_protocol(lingering)
        lingering.begin(self._discarded + self.inflow.drop())

    def retire(self) -> bool:
        """See Closable: whoever has just connected, or sends, is to have an answer."""
        if self._exchange is not None or self._is_closing:
            return False
        if self._is_new or not self._is_idle or self.inflow.has_unread:
            return True
        self.end()
        return False

    def end(self) -> None:
        """Close once what was written is taken; a request in flight is given up."""
        self._is_closing = True
        self._give_up()
        super().end()

    def cut(self) -> None:
        """Close without waiting for anything."""
        self._is_closing = True
        super().cut()
