"""In charge of showing that the servers of the tests are what the tests take them for."""

import pymysql
import pytest
import redis
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import RedisServer, ValkeyServer
from tests.servers.s3 import S3Server


def connect_to_mysql(server: MysqlServer) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
        autocommit=True,
    )


def test_mongodb_refuses_a_second_document_of_a_unique_name(mongodb_server: MongodbServer) -> None:
    with MongoClient[dict[str, object]](mongodb_server.url) as client:
        database = client.get_default_database()
        database.drop_collection("unique")
        database["unique"].create_index("name", unique=True)
        database["unique"].insert_one({"name": "bart"})
        with pytest.raises(DuplicateKeyError) as caught:
            database["unique"].insert_one({"name": "bart"})
    assert caught.value.code == 11000


def test_redis_answers(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("servers:bart", b"\x00ay caramba")
        assert client.get("servers:bart") == b"\x00ay caramba"


def test_valkey_knows_set_ifeq(valkey_server: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("servers:bart", "old")
        assert client.execute_command("SET", "servers:bart", "new", "IFEQ", "other") is None
        assert client.execute_command("SET", "servers:bart", "new", "IFEQ", "old")
        assert client.get("servers:bart") == b"new"


def test_mysql_answers(mysql_server: MysqlServer) -> None:
    with connect_to_mysql(mysql_server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT DATABASE()")
        assert cursor.fetchone() == (mysql_server.database,)


def test_s3_decides_on_conditional_writes(s3_server: S3Server) -> None:
    client = s3_server.client()
    client.put_object(Bucket=s3_server.bucket, Key="servers", Body=b"first")
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.put_object(Bucket=s3_server.bucket, Key="servers", Body=b"2nd", IfNoneMatch="*")
    body = client.get_object(Bucket=s3_server.bucket, Key="servers")["Body"].read()
    client.close()
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert body == b"first"


def test_s3_refuses_a_wrong_secret(own_s3_server: S3Server) -> None:
    own_s3_server.secret_key = "wrong"
    client = own_s3_server.client()
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.get_object(Bucket=own_s3_server.bucket, Key="servers")
    client.close()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_mongodb_keeps_what_it_acknowledged_when_it_is_killed(
    own_mongodb_server: MongodbServer,
) -> None:
    with MongoClient[dict[str, object]](own_mongodb_server.url, journal=True) as client:
        documents = client.get_default_database()["kept"]
        for number in range(200):
            documents.insert_one({"_id": number})
    own_mongodb_server.kill()
    own_mongodb_server.start()
    with MongoClient[dict[str, object]](own_mongodb_server.url) as client:
        assert client.get_default_database()["kept"].count_documents({}) == 200


def test_mysql_keeps_what_it_committed_when_it_is_killed(own_mysql_server: MysqlServer) -> None:
    with connect_to_mysql(own_mysql_server) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (number INT PRIMARY KEY)")
        for number in range(200):
            cursor.execute("INSERT INTO kept VALUES (%s)", (number,))
    own_mysql_server.kill()
    own_mysql_server.start()
    with connect_to_mysql(own_mysql_server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM kept")
        assert cursor.fetchone() == (200,)


def test_redis_keeps_what_it_acknowledged_when_it_is_killed(own_redis_server: RedisServer) -> None:
    with redis.Redis.from_url(own_redis_server.url) as client:
        for number in range(200):
            client.set(f"kept:{number}", number)
    own_redis_server.kill()
    own_redis_server.start()
    with redis.Redis.from_url(own_redis_server.url) as client:
        assert client.dbsize() == 200
