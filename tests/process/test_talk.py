"""The talk, replayed: its environment variables, its routes, its native layouts, real servers."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymongo import MongoClient
from redis import Redis

from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import S3Server
from tests.service import ServiceProcess, running, springfield
from tests.web.upstream import TALK, FakeUpstream

DATABASE = "springfield_talk"


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        upstream.answers(TALK)
        yield upstream


@pytest.fixture(scope="module")
def environment(
    mongodb_server: MongodbServer,
    redis_server: RedisServer,
    mysql_server: MysqlServer,
    s3_server: S3Server,
    upstream: FakeUpstream,
) -> dict[str, str]:
    return {
        "MONGODB_URI": f"mongodb://{mongodb_server.host}:{mongodb_server.port}/{DATABASE}",
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "MYSQL_HOST": mysql_server.host,
        "MYSQL_PORT": str(mysql_server.port),
        "MYSQL_DATABASE": DATABASE,
        "MYSQL_USER": mysql_server.user,
        "MYSQL_PASSWORD": mysql_server.password,
        "AWS_S3_BUCKET": s3_server.bucket,
        "AWS_S3_OBJECT": "talk/bart.txt",
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "AWS_ENDPOINT_URL_S3": s3_server.url,
        "WEATHER_URI": upstream.uri,
        "SERVER_PORT": "0",
    }


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[ServiceProcess]:
    directory = tmp_path_factory.mktemp("talk")
    for _ in range(2):  # init may be run twice
        ended = springfield("init", directory=directory, **environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    with running(directory, **environment) as service:
        assert "cannot be served" not in service.errors()
        yield service
        assert not (directory / "springfield-data").exists()


def mysql(server: MysqlServer) -> "pymysql.Connection[Any]":
    return pymysql.connect(
        host=server.host, port=server.port, user=server.user, password=server.password,
        database=DATABASE, autocommit=True,
    )  # fmt: skip


def test_the_seven_routes_answer_as_in_the_talk(service: ServiceProcess) -> None:
    assert service.get("/api/v1/flanders").body == b"Hi-dilly-ho, neighborino!"
    assert service.get("/api/v1/healthcheck").body == b"OK"
    assert service.get("/api/v1/maggie").body == b"Currently 52 degrees and Cloudy in Austin, TX"
    for path, body in (
        ("/api/v1/homers/doh", b'{"foo":"bar"}'),
        ("/api/v1/lisas/sax", b"saxophone"),
        ("/api/v1/marges/hair", b"blue\x00\xff"),
        ("/api/v1/bart", b"ay caramba"),
    ):
        written = service.post(path, body)
        assert (written.status, written.body) == (204, b"")
        read = service.get(path)
        assert (read.status, read.body) == (200, body)
    missing = service.get("/api/v1/homers/missing")
    assert (missing.status, missing.problem["detail"]) == (404, "Missing homer: missing")


def test_homers_are_documents_of_the_collection_homers(
    service: ServiceProcess, mongodb_server: MongodbServer
) -> None:
    with MongoClient[dict[str, Any]](mongodb_server.host, mongodb_server.port) as client:
        homers = client[DATABASE].homers
        homers.insert_one({"name": "theirs", "content": {"foo": ["bar", 1]}, "extra": 7})
        assert json.loads(service.get("/api/v1/homers/theirs").body) == {"foo": ["bar", 1]}
        service.post("/api/v1/homers/theirs", b'{"ours": 1.5}')
        document = homers.find_one({"name": "theirs"}, {"_id": 0})
        assert document == {"name": "theirs", "content": {"ours": 1.5}, "extra": 7}


def test_lisas_are_rows_of_the_table_lisa(
    service: ServiceProcess, mysql_server: MysqlServer
) -> None:
    with closing(mysql(mysql_server)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO lisa (name, content) VALUES ('theirs', 'sax é')")
        assert service.get("/api/v1/lisas/theirs").body == "sax é".encode()
        service.post("/api/v1/lisas/ours", b"jazz")
        cursor.execute("SELECT content FROM lisa WHERE name = 'ours'")
        assert cursor.fetchall() == ((b"jazz",),)


def test_marges_are_plain_keys(service: ServiceProcess, redis_server: RedisServer) -> None:
    with Redis(host=redis_server.host, port=redis_server.port) as client:
        client.set("theirs", b"\x00blue")
        assert service.get("/api/v1/marges/theirs").body == b"\x00blue"
        service.post("/api/v1/marges/ours", b"hair\xff")
        assert client.get("ours") == b"hair\xff"
        client.rpush("a-list", "x")
        for answer in (
            service.get("/api/v1/marges/a-list"),
            service.post("/api/v1/marges/a-list", b"x"),
        ):
            assert (answer.status, answer.problem["code"]) == (409, "wrong-type")
        assert client.lrange("a-list", 0, -1) == [b"x"]


def test_bart_is_an_s3_object(service: ServiceProcess, s3_server: S3Server) -> None:
    client = s3_server.client()
    client.put_object(
        Bucket=s3_server.bucket, Key="talk/bart.txt", Body=b"theirs", ContentType="text/x-a"
    )
    read = service.get("/api/v1/bart")
    assert (read.body, read.headers["content-type"]) == (b"theirs", "text/x-a")
    body = bytes(range(256)) * 80_000  # 20 MB: more than one part
    assert service.request("PUT", "/api/v1/bart", body, Content_Type="image/png").status == 204
    stored = client.get_object(Bucket=s3_server.bucket, Key="talk/bart.txt")
    assert stored["Body"].read() == body
    assert stored["ContentType"] == "image/png"
    assert service.get("/api/v1/bart").body == body
    assert service.request("DELETE", "/api/v1/bart").status == 204
    assert service.get("/api/v1/bart").problem["detail"] == "Missing object: bart"
    assert service.get("/api/v1/healthcheck").body == b"OK"


def test_the_talks_own_table_works_and_loses_nothing(
    tmp_path: Path, mysql_server: MysqlServer, environment: dict[str, str]
) -> None:
    with closing(mysql(mysql_server)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE TABLE talk_lisa (name VARCHAR(32) PRIMARY KEY, content VARCHAR(1000))"
        )
        url = (
            f"mysql://{mysql_server.user}:{mysql_server.password}@{mysql_server.host}:"
            f"{mysql_server.port}/{DATABASE}?table=talk_lisa"
        )
        with running(tmp_path, **environment, SPRINGFIELD_LISAS_URL=url) as service:
            assert service.post("/api/v1/lisas/lisa", b"sax").status == 204
            for name, code, status in (
                ("LISA", "name-collision", 409),
                ("lisa%20", "name-collision", 409),
                ("l" * 33, "not-storable", 422),
            ):
                answer = service.post(f"/api/v1/lisas/{name}", b"other")
                assert (answer.status, answer.problem["code"]) == (status, code)
                assert service.get(f"/api/v1/lisas/{name}").status == 404
                assert service.request("DELETE", f"/api/v1/lisas/{name}").status == 204
            assert service.post("/api/v1/lisas/lisa", b"x" * 1001).problem["code"] == "not-storable"
            assert service.get("/api/v1/lisas/lisa").body == b"sax"
        cursor.execute("SELECT name, content FROM talk_lisa")
        assert cursor.fetchall() == (("lisa", "sax"),)


def test_a_bytes_resource_on_a_text_column_is_refused_at_start(
    tmp_path: Path, mysql_server: MysqlServer, service: ServiceProcess
) -> None:
    assert service.get("/api/v1/flanders").status == 200
    with closing(mysql(mysql_server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE words (name VARCHAR(32) PRIMARY KEY, content TEXT)")
    url = (
        f"mysql://{mysql_server.user}:{mysql_server.password}@{mysql_server.host}:"
        f"{mysql_server.port}/{DATABASE}?table=words"
    )
    ended = springfield("serve", "--port=0", directory=tmp_path, SPRINGFIELD_MARGES_URL=url)
    assert ended.returncode == 2
    assert ended.stderr.count("springfield: ") == 1
    assert "words" in ended.stderr
    assert mysql_server.password not in ended.stderr
