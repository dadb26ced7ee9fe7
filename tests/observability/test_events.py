import pytest

from springfield.observability.events import Events, RequestShed
from springfield.observability.trace_context import trace_context_of


def test_an_event_reaches_those_who_subscribed_to_its_kind_in_order() -> None:
    events = Events()
    heard: list[object] = []
    events.subscribe(RequestShed, lambda event: heard.append(("first", event)))
    events.subscribe(RequestShed, lambda event: heard.append(("second", event)))
    events.subscribe(int, heard.append)
    events.publish(RequestShed(3))
    assert heard == [("first", RequestShed(3)), ("second", RequestShed(3))]


def test_the_clients_trace_is_carried_on() -> None:
    trace = trace_context_of(f"00-{'a' * 32}-{'b' * 16}-01")
    assert (trace.trace_id, trace.parent_id, trace.is_sampled) == ("a" * 32, "b" * 16, True)
    assert trace.header == f"00-{'a' * 32}-{trace.span_id}-01"
    assert trace.span_id != "b" * 16
    assert not trace_context_of(f"00-{'a' * 32}-{'b' * 16}-00").is_sampled


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "junk",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'a' * 31}-{'b' * 16}-01",
    ],
)
def test_an_invalid_parent_counts_as_none(parent: str) -> None:
    trace = trace_context_of(parent)
    assert trace.parent_id is None
    assert len(trace.trace_id) == 32
    assert trace.trace_id != trace_context_of(parent).trace_id
