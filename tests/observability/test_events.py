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
        f"00-{'a' * 32}-{'b' * 16}-01-more",
        f"01-{'a' * 32}-{'b' * 16}-01more",
    ],
)
def test_an_invalid_parent_counts_as_none(parent: str) -> None:
    trace = trace_context_of(parent)
    assert trace.parent_id is None
    assert len(trace.trace_id) == 32
    assert trace.trace_id != trace_context_of(parent).trace_id


def test_a_parent_of_a_version_to_come_is_read_as_far_as_it_is_known() -> None:
    trace = trace_context_of(f"cc-{'a' * 32}-{'b' * 16}-01-what-the-future-brings")
    assert (trace.trace_id, trace.parent_id, trace.is_sampled) == ("a" * 32, "b" * 16, True)


def test_a_call_is_a_child_in_the_same_trace() -> None:
    request = trace_context_of(f"00-{'a' * 32}-{'b' * 16}-01", "vendor=1")
    call = request.child()
    assert (call.trace_id, call.parent_id, call.state) == ("a" * 32, request.span_id, "vendor=1")
    assert call.headers == {"Traceparent": call.header, "Tracestate": "vendor=1"}
    assert call.span_id not in {request.span_id, request.parent_id}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("a=1", "a=1"),
        ("a=1,b@c=x y", "a=1,b@c=x y"),
        (" a=1, ,\tb=2 ,", "a=1,b=2"),
        (",".join(f"k{n}=v" for n in range(32)), ",".join(f"k{n}=v" for n in range(32))),
        (", " * 20_000, ""),
    ],
)
def test_the_state_of_other_tracing_systems_is_kept(given: str, kept: str) -> None:
    assert trace_context_of(f"00-{'a' * 32}-{'b' * 16}-01", given).state == kept


@pytest.mark.parametrize(
    "state",
    [
        "junk",
        "A=1",
        "a=b=c",
        "a=\x7f",
        "a=é",
        "a=1\r\nX: y",
        "a=" + "v" * 257,
        "=1",
        "a" * 60_000,
        ",".join(f"k{n}=v" for n in range(33)),
    ],
)
def test_an_invalid_state_counts_as_none(state: str) -> None:
    assert trace_context_of(f"00-{'a' * 32}-{'b' * 16}-01", state).state == ""


def test_a_state_without_a_parent_counts_as_none() -> None:
    assert trace_context_of("", "a=1").state == ""
