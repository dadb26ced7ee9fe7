"""In charge of asking an upstream for the weather. Understands Open-Meteo and the talk's upstream."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from springfield.errors import UpstreamError, UpstreamFailed, UpstreamTooSlow
from springfield.observability.events import Events, UpstreamCallFinished
from springfield.observability.trace_context import TraceContext, current, trace_context_of

ANSWER_LIMIT = 256 * 1024
"""The largest answer that is read, in bytes; both upstreams send less than one KiB."""
CONNECTIONS = 10

_CURL_TIMED_OUT = 28

# WMO code table 4677, as Open-Meteo groups it.
WMO_CODES = {
    0: "Clear",
    1: "Mostly Clear",
    2: "Partly Cloudy",
    3: "Cloudy",
    45: "Foggy",
    48: "Freezing Fog",
    51: "Light Drizzle",
    53: "Drizzle",
    55: "Heavy Drizzle",
    56: "Light Freezing Drizzle",
    57: "Freezing Drizzle",
    61: "Light Rain",
    63: "Rain",
    65: "Heavy Rain",
    66: "Light Freezing Rain",
    67: "Freezing Rain",
    71: "Light Snow",
    73: "Snow",
    75: "Heavy Snow",
    77: "Snow Grains",
    80: "Light Showers",
    81: "Showers",
    82: "Violent Showers",
    85: "Light Snow Showers",
    86: "Heavy Snow Showers",
    95: "Thunderstorms",
    96: "Thunderstorms with Hail",
    99: "Thunderstorms with Heavy Hail",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """The weather now: whole degrees in the units that were asked for, and words for the sky."""

    temperature: int
    text: str


def open_meteo_uri(latitude: float, longitude: float, units: str) -> str:
    """Return the URI of Open-Meteo's current weather at a place."""
    query = {
        "latitude": latitude,
        "longitude": longitude,
        "current": "temperature_2m,weather_code",
        "temperature_unit": units,
    }
    return "https://api.open-meteo.com/v1/forecast?" + urlencode(query, safe=",")


class Weather:
    """The upstream, asked through one pooled client."""

    def __init__(self, client: AsyncHTTPClient, uri: str, timeout: float, events: Events) -> None:
        self._client = client
        self._uri = uri
        self._timeout = timeout
        self._events = events

    async def current(self) -> Condition:
        """Ask for the weather now, once: one attempt, on behalf of the request of the context.

        Raises UpstreamTooSlow after the timeout, and UpstreamFailed for anything else that is not
        an answer in one of the two shapes. Publishes UpstreamCallFinished however it ends.
        """
        request = current.get()
        call = trace_context_of("") if request is None else request.child()
        started, failure = time.monotonic(), None
        try:
            return parse_condition(await self._fetch(call))
        except BaseException as error:
            failure = error
            raise
        finally:
            seconds = time.monotonic() - started
            self._events.publish(UpstreamCallFinished("weather", started, seconds, failure, call))

    async def _fetch(self, call: TraceContext) -> bytes:
        body = bytearray()

        def take(chunk: bytes) -> None:
            if len(body) <= ANSWER_LIMIT:
                body.extend(chunk)

        request = HTTPRequest(
            self._uri,
            headers={"Accept": "application/json", "User-Agent": "springfield", **call.headers},
            connect_timeout=self._timeout,
            request_timeout=self._timeout,
            max_redirects=3,
            streaming_callback=take,
            prepare_curl_callback=_limit_answer,
        )
        try:
            await self._client.fetch(request)
        except HTTPTimeoutError as error:
            raise self._too_slow() from error
        except HTTPClientError as error:
            if getattr(error, "errno", None) == _CURL_TIMED_OUT:
                raise self._too_slow() from error
            raise UpstreamFailed(
                f"The weather service failed with {_status(error.code)}."
            ) from error
        except Exception as error:  # nothing that it sends may be a defect of ours
            raise UpstreamFailed("The weather service could not be reached.") from error
        if len(body) > ANSWER_LIMIT:
            raise UpstreamFailed(f"The weather service answered more than {ANSWER_LIMIT} bytes.")
        return bytes(body)

    def _too_slow(self) -> UpstreamTooSlow:
        return UpstreamTooSlow(f"The weather service did not answer within {self._timeout:g} s.")


def unanswered(detail: str, *, slow: bool = False, retry_after: float = 1.0) -> UpstreamError:
    """Return the error of a call that was not tried, or not waited for."""
    del retry_after
    return UpstreamTooSlow(detail) if slow else UpstreamFailed(detail)


@asynccontextmanager
async def open_weather(
    uri: str, timeout: float, client: Literal["simple", "curl"], events: Events
) -> AsyncIterator[Weather]:
    """Open a client of our own for the upstream; leaving the context closes it.

    Raises ImportError for the curl client when the extra `springfield[curl]` is not installed.
    """
    chosen: type[AsyncHTTPClient] = SimpleAsyncHTTPClient
    limits = {"max_body_size": ANSWER_LIMIT}
    if client == "curl":
        from tornado.curl_httpclient import CurlAsyncHTTPClient  # an extra

        chosen, limits = CurlAsyncHTTPClient, {}
    http = chosen(force_instance=True, max_clients=CONNECTIONS, **limits)
    try:
        yield Weather(http, uri, timeout, events)
    finally:
        http.close()


def parse_condition(body: bytes) -> Condition:
    """Understand Open-Meteo's answer, or the talk's; raise UpstreamFailed for anything else."""
    try:
        answer = json.loads(body)
        if "current" in answer:
            return _open_meteo(answer["current"])
        return _talk(answer["query"]["results"]["channel"]["item"]["condition"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UpstreamFailed(
            "The weather service answered something that is not weather."
        ) from error


def _limit_answer(curl: Any) -> None:
    curl.setopt(curl.MAXFILESIZE_LARGE, ANSWER_LIMIT)


def _open_meteo(current: Any) -> Condition:
    temperature, code = current["temperature_2m"], current["weather_code"]
    if isinstance(temperature, bool) or isinstance(code, bool):
        raise TypeError
    return Condition(round(temperature), WMO_CODES[code])


def _talk(condition: Any) -> Condition:
    if not isinstance(condition["text"], str) or not condition["text"].isprintable():
        raise TypeError
    if isinstance(condition["temp"], bool):
        raise TypeError
    return Condition(round(float(condition["temp"])), condition["text"])


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return "no usable answer"
