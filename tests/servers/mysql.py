"""In charge of a MySQL for the tests: MariaDB's server.

Oracle's mysqld is set up in another way: name a running one with SPRINGFIELD_TEST_MYSQL_URL.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import pymysql

from tests.servers.missing import ServerMissing
from tests.servers.process import ServerFailed, ServerProcess, free_port
from tests.servers.programs import UNPACKED, environment_of, find_program
from tests.servers.server import Server

_USER, _PASSWORD, _DATABASE = "springfield", "everything-is-coming-up-milhouse", "springfield_test"
_INSTALL_DEADLINE = 60.0

# Runs before the server accepts connections, at every start.
_INITIAL_SQL = f"""
CREATE DATABASE IF NOT EXISTS {_DATABASE};
CREATE USER IF NOT EXISTS '{_USER}'@'%' IDENTIFIED BY '{_PASSWORD}';
GRANT ALL ON *.* TO '{_USER}'@'%' WITH GRANT OPTION;
"""


class MysqlServer(Server):
    """A MariaDB that loses no committed row when it is killed, with a user of all rights."""

    variable = "SPRINGFIELD_TEST_MYSQL_URL"
    default_port = 3306

    def __init__(self, url: str, process: ServerProcess | None) -> None:
        super().__init__(url, process)
        address = urlsplit(url)
        self.user = unquote(address.username or "root")
        self.password = unquote(address.password or "")
        self.database = unquote(address.path.lstrip("/"))

    @classmethod
    def own(cls, directory: Path) -> Self:
        program = _find()
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copytree(_empty_data(program, directory), directory / "data")
        (directory / "initial.sql").write_text(_INITIAL_SQL)
        port = free_port()
        url = f"mysql://{_USER}:{_PASSWORD}@127.0.0.1:{port}/{_DATABASE}"
        return cls(url, ServerProcess(_argv(program, directory, port), directory))

    def is_ready(self) -> bool:
        try:
            pymysql.connect(
                host=self.host,
                port=self.port,
                user=self.user,
                password=self.password,
                database=self.database,
                connect_timeout=2,
                read_timeout=2,
            ).close()
        except pymysql.MySQLError:
            return False
        return True


def _find() -> Path:
    if program := find_program("mariadbd"):
        return program
    raise ServerMissing(
        "No MariaDB server: python tests/servers/install.py (or apt-get install "
        f"mariadb-server-core mariadb-client-core), or set {MysqlServer.variable}."
    )


def _argv(program: Path, directory: Path, port: int) -> list[str]:
    return [
        *(str(program), *_common(program), f"--datadir={directory / 'data'}", f"--port={port}"),
        "--socket=s.sock",  # within the data directory: the kernel takes 107 bytes of path
        f"--pid-file={directory / 'server.pid'}",
        f"--init-file={directory / 'initial.sql'}",
        *("--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=300"),
        *("--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=1"),
        *("--innodb-use-native-aio=0", "--skip-log-bin", "--performance-schema=OFF"),
    ]


def _common(program: Path) -> list[str]:
    options = ["--no-defaults", "--innodb-log-file-size=16M"]
    if program.is_relative_to(UNPACKED):
        options.append(f"--basedir={UNPACKED / 'usr'}")
    if os.geteuid() == 0:
        options.append("--user=root")
    return options


def _empty_data(program: Path, directory: Path) -> Path:
    """Return the data directory that every server of this session begins with, made once."""
    data = directory.parent / "empty-mariadb"
    if data.exists():
        return data
    installer = find_program("mariadb-install-db")
    if installer is None:
        raise ServerMissing(f"There is {program} and no mariadb-install-db beside it.")
    unfinished = data.with_suffix(".unfinished")
    done = subprocess.run(
        [
            *(str(installer), *_common(program), f"--datadir={unfinished}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        ],
        env=environment_of(program),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_INSTALL_DEADLINE,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(f"mariadb-install-db failed.\n{done.stderr.decode(errors='replace')}")
    return unfinished.rename(data)
