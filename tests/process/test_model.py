"""Random sequences of requests do what a dictionary would do, on every store (Hypothesis)."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.service import Answer, ServiceProcess

SETTINGS = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)

names = st.sampled_from(["a", "B", "b", "é", "e\u0301", "x y", "a/b", "🍩", "100%", "z" * 60])
leaves = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("aé🍩\n ", max_size=5)
)
documents = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abz.", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)

pytestmark = pytest.mark.timeout(600)  # thousands of requests, on slow machines, too


class Model(RuleBasedStateMachine):
    """The items of one collection, as the service keeps them and as a dictionary does."""

    service: ServiceProcess
    store: str

    @initialize()
    def empty(self) -> None:
        self.items: dict[str, Any] = {}
        self.mortal: set[str] = set()  # they end tomorrow, and show it
        for name in self.listed():
            assert self.ask("DELETE", name).status == 204

    def ask(self, method: str, name: str, value: Any = None, **headers: str) -> Answer:
        body = None if method in {"GET", "HEAD", "DELETE"} else json.dumps(value).encode()
        return self.service.request(
            method, f"/api/v1/homers/{quote(name, safe='/')}", body, **headers
        )

    def listed(self, query: str = "limit=1000") -> list[str]:
        listed: list[str] = json.loads(self.service.get(f"/api/v1/homers?{query}").body)["names"]
        return listed

    @rule(name=names, value=documents, method=st.sampled_from(["PUT", "POST"]))
    def write(self, name: str, value: Any, method: str) -> None:
        answer = self.ask(method, name, value)
        assert answer.status == 204
        self.items[name] = value
        self.mortal.discard(name)
        if method == "POST":
            assert answer.headers["etag"] == self.ask("GET", name).headers["etag"]

    @rule(name=names, value=documents)
    def write_until_tomorrow(self, name: str, value: Any) -> None:
        path = f"/api/v1/homers/{quote(name, safe='/')}?ttl=86400"
        answer = self.service.request("PUT", path, json.dumps(value).encode())
        if self.store == "s3":
            assert answer.problem["code"] == "not-storable"
            return
        assert answer.status == 204
        self.items[name] = value
        self.mortal.add(name)

    @rule(name=names)
    def read(self, name: str) -> None:
        answer = self.ask("GET", name)
        head = self.ask("HEAD", name)
        assert head.status == answer.status
        if name in self.items:
            assert json.loads(answer.body) == self.items[name]
            assert head.lasting_headers == answer.lasting_headers
            assert ("sunset" in answer.headers) == (name in self.mortal)
            tag = answer.headers["etag"]
            assert self.ask("GET", name, If_None_Match=tag).status == 304
        else:
            assert answer.status == 404

    @rule(name=names)
    def delete(self, name: str) -> None:
        assert self.ask("DELETE", name).status == 204
        self.items.pop(name, None)
        self.mortal.discard(name)

    @rule(name=names, value=documents)
    def insert(self, name: str, value: Any) -> None:
        answer = self.ask("PUT", name, value, If_None_Match="*")
        if answer.status == HTTPStatus.CONFLICT:  # SeaweedFS, beside a folder: a/b was written
            assert (self.store, name) == ("s3", "a")
            assert name not in self.items
            assert answer.problem["code"] == "name-collision"
            return
        assert answer.status == (412 if name in self.items else 204)
        self.items.setdefault(name, value)

    @rule(name=names, value=documents, is_current=st.booleans())
    def replace(self, name: str, value: Any, is_current: bool) -> None:
        tag = self.ask("GET", name).headers.get("etag", '"none"') if is_current else '"stale"'
        answer = self.ask("PUT", name, value, If_Match=tag)
        if is_current and name in self.items:
            assert answer.status == 204
            self.items[name] = value
            self.mortal.discard(name)
        else:
            assert answer.status == 412

    @rule(name=names, key=st.text("abz.", min_size=1, max_size=2), value=leaves)
    def patch(self, name: str, key: str, value: Any) -> None:
        merge = {"Content_Type": "application/merge-patch+json"}
        answer = self.ask("PATCH", name, {key: value}, **merge)
        if name not in self.items:
            assert answer.status == 404
            return
        assert answer.status == 204
        item = dict(self.items[name]) if isinstance(self.items[name], dict) else {}
        item.pop(key, None) if value is None else item.update({key: value})
        self.items[name] = item

    @rule(name=names, body=st.sampled_from([b"", b"{", b"[NaN]", b'{"a":1,"a":2}', b"\xff"]))
    def refuse(self, name: str, body: bytes) -> None:
        path = f"/api/v1/homers/{quote(name, safe='/')}"
        assert self.service.request("PUT", path, body).status == 400

    @invariant()
    def all_names_are_listed_in_byte_order(self) -> None:
        if hasattr(self, "items"):
            assert self.listed() == sorted(self.items, key=str.encode)


def test_a_service_does_what_a_dictionary_would(service: ServiceProcess, store: str) -> None:
    bound = type("Bound", (Model,), {"service": service, "store": store})
    run_state_machine_as_test(bound, settings=SETTINGS)
    assert service.get("/api/v1/homers").status == 200
