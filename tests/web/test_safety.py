"""What a hostile web page may not do, and --read-only."""

import pytest

from springfield.web.safety import is_loopback_name
from tests.service import ServiceProcess, running


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "127.0.0.1",
        "127.1.2.3:1",
        "[::1]:8000",
        "a.localhost",
        "localhost.",
    ],
)
def test_loopback_names_are_answered(service: ServiceProcess, host: str) -> None:
    assert service.get("/api/v1/flanders", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "10.0.0.1",
        "[2001:db8::1]:80",
        "127.0.0.1.evil.example",
        "",
    ],
)
def test_another_host_is_421_on_a_loopback_address(service: ServiceProcess, host: str) -> None:
    for path in ("/api/v1/flanders", "/nowhere"):
        answer = service.get(path, Host=host)
        assert answer.status in {400, 421}
        assert answer.status == 400 or answer.problem["code"] == "misdirected-request"
    assert not is_loopback_name(host)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://[", "http://localhost:1", "https://127.0.0.1"]
)
def test_a_write_by_a_foreign_page_is_403(service: ServiceProcess, origin: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = service.request(method, "/api/v1/lisas/origin", b"x", Origin=origin)
        assert (answer.status, answer.problem["code"]) == (403, "foreign-origin")
    assert service.get("/api/v1/lisas/origin", Origin=origin).status == 404


def test_a_write_by_our_own_page_is_taken(service: ServiceProcess) -> None:
    own = f"http://127.0.0.1:{service.port}"
    assert service.post("/api/v1/lisas/own", b"x", Origin=own).status == 204


def test_read_only_serves_reads_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("read-only")
    with running(directory) as service:
        service.post("/api/v1/lisas/kept", b"sax")
    with running(directory, "--read-only") as service:
        assert service.get("/api/v1/lisas/kept").body == b"sax"
        for path in ("/api/v1/lisas/kept", "/api/v1/bart"):
            for method in ("POST", "PUT", "DELETE"):
                answer = service.request(method, path, b"x")
                assert (answer.status, answer.problem["code"]) == (405, "read-only")
                assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
        assert service.get("/api/v1/lisas/kept").body == b"sax"


def test_a_public_address_answers_to_any_host(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("public"), "--host=0.0.0.0") as service:
        assert service.get("/api/v1/flanders", Host="api.example").status == 200
        assert service.post("/api/v1/lisas/x", b"x", Origin="https://app.example").status == 204
