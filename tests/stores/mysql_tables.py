"""In charge of databases and tables of MySQL for tests, made as another program would."""

import random
import string
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import pymysql

from springfield.model import Kind
from springfield.stores.store import StoreOptions
from tests.servers.mysql import MysqlServer

BYTES = StoreOptions("things", Kind.BYTES, pool_size=4)
TEXT = StoreOptions("lisa", Kind.TEXT, pool_size=4)
COLLATIONS = [
    "latin1_swedish_ci",
    "latin1_bin",
    "utf8mb3_general_ci",
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "utf8mb4_bin",
    "ucs2_general_ci",
]


@contextmanager
def new_url(server: MysqlServer) -> Iterator[str]:
    """Give the URL of a database that is not there yet, and drop it afterwards."""
    database = "test_" + "".join(random.choices(string.ascii_lowercase, k=12))
    yield url_of(server, database)
    sql(server, f"DROP DATABASE IF EXISTS {database}")


def url_of(server: MysqlServer, database: str) -> str:
    return f"mysql://{server.user}:{quote(server.password)}@{server.host}:{server.port}/{database}"


def connect(server: MysqlServer, database: str | None = None) -> Any:
    """Connect as another program would."""
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=database,
        charset="utf8mb4",
    )


def sql(
    server: MysqlServer, statement: str, *arguments: Any, database: str | None = None
) -> list[tuple[Any, ...]]:
    """Run one statement as another program would, and commit."""
    with closing(connect(server, database)) as connection:
        cursor = connection.cursor()
        cursor.execute(statement, arguments or None)
        connection.commit()
        return list(cursor.fetchall())


def talks_table(server: MysqlServer, database: str, collation: str, key: str = "") -> None:
    charset = collation.partition("_")[0]
    sql(
        server,
        f"CREATE TABLE lisa (name VARCHAR(32) {'PRIMARY KEY' if not key else 'NOT NULL'}, "
        f"content VARCHAR(1000){', ' + key if key else ''}) "
        f"CHARACTER SET {charset} COLLATE {collation}",
        database=database,
    )
