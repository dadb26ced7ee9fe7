"""The commands beside serve, as processes."""

import re
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest
from redis import Redis

from springfield import __version__
from tests.servers.mongodb import MongodbServer
from tests.servers.mysql import MysqlServer
from tests.servers.redis import RedisServer
from tests.service import clean_environment, springfield


def test_version(tmp_path: Path) -> None:
    ended = springfield("--version", directory=tmp_path)
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"springfield {__version__} (Python ")


@pytest.mark.parametrize("arguments", [[], ["doh"], ["serve", "--doh"], ["serve", "extra"]])
def test_a_wrong_command_line_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    ended = springfield(*arguments, directory=tmp_path)
    assert ended.returncode == 2
    assert "usage: springfield" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["serve", "init", "check", "settings"])
def test_all_wrong_settings_are_said_at_once_with_exit_code_2(tmp_path: Path, command: str) -> None:
    ended = springfield(
        command, "--port=x", directory=tmp_path, SPRINGFIELD_POOL_SIZE="0", SPRINGFIELD_X="1"
    )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 3
    assert all(line.startswith("springfield: ") for line in ended.stderr.splitlines())


def test_the_usage_of_a_command_has_its_own_flags(tmp_path: Path) -> None:
    for command, flag in (("check", "[--url URL]"), ("init", "[--with-ttl]")):
        told = springfield(command, "--help", directory=tmp_path).stdout
        assert told.startswith(f"usage: springfield {command} {flag} [--config FILE]")


@pytest.mark.parametrize("url", ["http://localhost:99999", "http://[::1", "ftp://x", "localhost:1"])
def test_a_url_at_which_no_listener_can_be_is_one_sentence(tmp_path: Path, url: str) -> None:
    for flags in ([f"--url={url}"], ["--url", url], [f"--url={url}", "--log-level=info"]):
        ended = springfield("check", *flags, directory=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.endswith(
            f"argument --url: '{url}' is no admin listener's address; "
            "use http://host:port or unix:/path.\n"
        )


def test_a_question_to_a_running_service_imports_nothing_of_one(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from springfield.__main__ import main\n"
        "sys.argv[1:] = ['check', '--url', 'unix:/nowhere']\n"
        "assert main() == 1\n"
        "print(*sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=clean_environment({}), cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer, modules = ended.stdout.splitlines()
    assert answer == "Nobody listens at unix:/nowhere."
    heavy = {"pydantic", "tornado.web", "prometheus_client", "structlog", "springfield.assembly"}
    assert "springfield.server.inquiry" in modules.split()
    assert not heavy & set(modules.split())


def test_settings_prints_every_setting_and_where_it_came_from(tmp_path: Path) -> None:
    ended = springfield(
        "settings", "--port=1", directory=tmp_path,
        MYSQL_PASSWORD="hunter2", MONGODB_URI="mongodb://u:hunter2@h/d",
    )  # fmt: skip
    assert ended.returncode == 0
    assert "port = 1   [flag --port]" in ended.stdout
    assert "mysql_password = ***   [environment MYSQL_PASSWORD]" in ended.stdout
    assert "mongodb_uri = mongodb://u:***@h/d" in ended.stdout
    assert "hunter2" not in ended.stdout + ended.stderr


def test_check_and_init_on_the_embedded_default(tmp_path: Path) -> None:
    assert springfield("init", directory=tmp_path).returncode == 0
    ended = springfield("check", directory=tmp_path)
    assert ended.returncode == 0
    assert re.search(r"homers +SQLite +ok: SQLite \d", ended.stdout)
    assert re.search(r"bart +filesystem +ok", ended.stdout)


def test_check_fails_when_a_store_is_unreachable_and_says_which(tmp_path: Path) -> None:
    ended = springfield("check", directory=tmp_path, REDIS_HOST="127.0.0.1", REDIS_PORT="1")
    assert ended.returncode == 1
    assert re.search(r"marges +Redis +FAILED: .*127\.0\.0\.1:1", ended.stdout)
    assert re.search(r"homers +SQLite +ok", ended.stdout)


def test_check_warns_of_what_is_risky(
    tmp_path: Path,
    own_redis_server: RedisServer,
    mongodb_server: MongodbServer,
    mysql_server: MysqlServer,
) -> None:
    with Redis(host=own_redis_server.host, port=own_redis_server.port) as redis:
        redis.config_set("appendonly", "no")
        redis.config_set("save", "")
    connection = pymysql.connect(
        host=mysql_server.host, port=mysql_server.port, user=mysql_server.user,
        password=mysql_server.password, database=mysql_server.database,
    )  # fmt: skip
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE TABLE checked (name VARCHAR(32) PRIMARY KEY, content VARCHAR(1000)) "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
        )
    ended = springfield(
        "check", directory=tmp_path,
        SPRINGFIELD_HOMERS_URL=f"{mongodb_server.url}?collection=unindexed",
        SPRINGFIELD_LISAS_URL=f"{mysql_server.url}?table=checked",
        SPRINGFIELD_MARGES_URL=own_redis_server.url,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    sections = re.split(r"^(?=\w)", ended.stdout, flags=re.MULTILINE)
    homers, lisas, marges = (s for s in sections if s.startswith(("homers", "lisas", "marges")))
    assert "warning:" in homers
    assert "unique index" in homers
    assert "warning:" in lisas
    assert "utf8mb4_general_ci" in lisas
    assert "warning:" in marges
    assert "kept on disk" in marges


@pytest.mark.parametrize("command", ["serve", "check", "init"])
def test_every_url_that_cannot_be_right_is_named(tmp_path: Path, command: str) -> None:
    wrong = {
        "SPRINGFIELD_HOMERS_URL": "mysql://root:hunter2@host:99999/db",
        "SPRINGFIELD_LISAS_URL": "mysql://root:hunter2@host",
        "SPRINGFIELD_MARGES_URL": "redis://:hunter2@a?x=1",
    }
    ended = springfield(command, directory=tmp_path, **wrong)
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["homers", "lisas", "marges"]
    assert "hun" not in ended.stderr


def test_two_resources_in_one_place_are_warned_of(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    url = f"redis://{redis_server.host}:{redis_server.port}/5"
    both = {"SPRINGFIELD_HOMERS_URL": url, "SPRINGFIELD_MARGES_URL": url}
    ended = springfield("check", directory=tmp_path, **both)
    assert "homers and marges are kept in one place" in ended.stderr
    alike = f"redis://localhost:{redis_server.port}/5?prefix="
    ended = springfield("check", directory=tmp_path, **{**both, "SPRINGFIELD_HOMERS_URL": alike})
    assert "homers and marges are kept in one place" in ended.stderr
    apart = {**both, "SPRINGFIELD_HOMERS_URL": url + "?prefix=homer:"}
    assert "one place" not in springfield("check", directory=tmp_path, **apart).stderr


def test_a_url_that_cannot_be_read_is_named_beside_all_other_mistakes(tmp_path: Path) -> None:
    wrong = {"SPRINGFIELD_HOMERS_URL": "redis://[", "SPRINGFIELD_PORT": "70000"}
    ended = springfield("settings", directory=tmp_path, **wrong)
    assert ended.returncode == 2
    assert "homers_url" in ended.stderr
    assert "port" in ended.stderr
    assert len(ended.stderr.splitlines()) == 2
