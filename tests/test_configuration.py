import os
from pathlib import Path

import pytest

from springfield.configuration import load_settings
from springfield.model import Kind
from springfield.settings.fields import Binding, Shape
from springfield.settings.mistakes import InvalidSettings
from springfield.settings.table import Settings
from tests.service import clean_environment


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name not in clean_environment({}):
            monkeypatch.delenv(name)


def load(**flags: str) -> Settings:
    return load_settings(flags, None).settings


def urls(settings: Settings) -> dict[str, str]:
    return {each.resource: each.url for each in settings.bindings}


def test_without_any_variable_everything_is_embedded(tmp_path: Path) -> None:
    database = f"sqlite://{tmp_path}/springfield-data/springfield.db"
    assert load().bindings == (
        Binding("homers", Kind.JSON, database),
        Binding("lisas", Kind.TEXT, database),
        Binding("marges", Kind.BYTES, database),
        Binding("bart", Shape.OBJECT, f"file://{tmp_path}/springfield-data/bart"),
    )


def test_the_talks_variables_bind_the_talks_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SERVER_PORT": "9000",
        "MONGODB_URI": "mongodb://mongo/test",
        "REDIS_HOST": "redis",
        "REDIS_PORT": "6380",
        "MYSQL_HOST": "::1",
        "MYSQL_PORT": "3307",
        "MYSQL_DATABASE": "town hall",
        "MYSQL_USER": "us@er",
        "MYSQL_PASSWORD": "p/w",
        "AWS_S3_BUCKET": "bucket",
        "AWS_S3_OBJECT": "a b/c",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.port == 9000
    assert urls(settings) == {
        "homers": "mongodb://mongo/test",
        "lisas": "mysql://us%40er:p%2Fw@[::1]:3307/town%20hall?table=lisa",
        "marges": "redis://redis:6380/0",
        "bart": "s3://bucket/a%20b/c",
    }


def test_a_resources_own_url_wins_over_the_talks_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://mongo/test")
    monkeypatch.setenv("SPRINGFIELD_HOMERS_URL", "redis://other/1")
    assert urls(load())["homers"] == "redis://other/1"


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "springfield.toml"
    file.write_text("port = 1\nhost = '127.0.0.2'\npool_size = 3\n")
    monkeypatch.setenv("SPRINGFIELD_HOST", "127.0.0.3")
    monkeypatch.setenv("SERVER_PORT", "2")
    monkeypatch.setenv("SPRINGFIELD_PORT", "")
    loaded = load_settings({"port": "3"}, file)
    assert (loaded.settings.port, loaded.settings.host) == (3, "127.0.0.3")
    origins = {row.name: row.origin for row in loaded.table()}
    assert origins["port"] == "flag --port"
    assert origins["host"] == "environment SPRINGFIELD_HOST"
    assert origins["pool_size"] == f"file {file}"
    assert origins["data_dir"] == "default"
    assert load_settings({}, file).origins["port"] == "environment SERVER_PORT"


def test_more_resources_come_from_the_file_or_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "springfield.toml"
    file.write_text('[resources.donuts]\nkind = "json"\nurl = "redis://box/0?prefix=donut:"\n')
    bindings = load_settings({}, file).settings.bindings
    assert bindings[-1] == Binding("donuts", Kind.JSON, "redis://box/0?prefix=donut:")
    monkeypatch.setenv("SPRINGFIELD_RESOURCES", '{"beers": {"kind": "text", "url": "sqlite:b.db"}}')
    assert load().bindings[-1] == Binding("beers", Kind.TEXT, "sqlite:b.db")


def test_all_mistakes_are_reported_at_once_and_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "springfield.toml"
    file.write_text("prot = 1\nstore_timeout = 0\n")
    monkeypatch.setenv("SPRINGFIELD_PORT", "many")
    monkeypatch.setenv("SPRINGFIELD_HOMR_URL", "x")
    monkeypatch.setenv("SPRINGFIELD_HOMERS_URL", "foo://user:hunter2@host/")
    monkeypatch.setenv("SPRINGFIELD_RESOURCES", "{broken hunter2")
    monkeypatch.setenv("AWS_S3_BUCKET", "bucket")
    with pytest.raises(InvalidSettings) as caught:
        load_settings({"log_level": "loud"}, file)
    mistakes = "\n".join(caught.value.mistakes)
    for words in (
        "SPRINGFIELD_HOMR_URL is no setting",
        "port = 'many' (environment SPRINGFIELD_PORT): input should be a valid integer",
        "log_level = 'loud' (flag --log-level)",
        "homers_url (environment SPRINGFIELD_HOMERS_URL): no store for named items",
        "resources (environment SPRINGFIELD_RESOURCES): it is not a JSON object",
        "store_timeout = 0",
        "prot is no setting",
        "AWS_S3_BUCKET is set and AWS_S3_OBJECT is not",
    ):
        assert words in mistakes
    assert "hunter2" not in mistakes


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_S3_BUCKET": "b"}, "AWS_S3_BUCKET is set and AWS_S3_OBJECT is not"),
        ({"AWS_S3_OBJECT": "o"}, "AWS_S3_OBJECT is set and AWS_S3_BUCKET is not"),
        (
            {"SPRINGFIELD_BART_URL": "redis://x"},
            "No store for a single object|no store for a single",
        ),
        ({"SPRINGFIELD_LISAS_URL": "file:///x"}, "no store for named items"),
        ({"SPRINGFIELD_RESOURCES": '{"maggie": {"kind": "json", "url": "sqlite:x"}}'}, "taken"),
        ({"SPRINGFIELD_RESOURCES": '{"A/b": {"kind": "json", "url": "sqlite:x"}}'}, "lower-case"),
        (
            {"SPRINGFIELD_RESOURCES": '{"x": {"kind": "xml", "url": "sqlite:x"}}'},
            "resources.x.kind",
        ),
        ({"SPRINGFIELD_WEATHER_URI": "ftp://x"}, "weather_uri"),
        ({"SPRINGFIELD_POLICIES": '{"maggie": {"attempts": 1}}'}, "'maggie' is none of homers"),
        ({"SPRINGFIELD_POLICIES": '{"weather": {"pool_size": 1}}'}, "is for stores"),
        ({"SPRINGFIELD_POLICIES": '{"bart": {"tries": 1}}'}, "policies.bart.tries is no setting"),
        ({"SPRINGFIELD_CALL_TIMEOUT": "1"}, "call_timeout = 1 is less than store_timeout = 2"),
        (
            {"SPRINGFIELD_POLICIES": '{"bart": {"store_timeout": 9, "call_timeout": 8}}'},
            r"policies\.bart\.call_timeout = 8 is less than store_timeout = 9",
        ),
        (
            {"SPRINGFIELD_REQUIRE_PRECONDITION": "lisas, nosuch"},
            "require_precondition: there is no resource 'nosuch'; .* bart, homers, lisas, marges",
        ),
        ({"SPRINGFIELD_REQUIRE_PRECONDITION": "flanders"}, "no resource 'flanders'"),
    ],
)
def test_settings_that_contradict_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=words):
        load()


def test_a_policy_holds_for_its_dependency_and_the_settings_for_all_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPRINGFIELD_POLICIES", '{"marges": {"attempts": 1, "pool_size": 3}}')
    monkeypatch.setenv("SPRINGFIELD_QUEUE_LIMIT", "7")
    loaded = load_settings({"queue_timeout": "4"}, None)
    settings = loaded.settings
    marges, lisas = settings.limits_of("marges"), settings.limits_of("lisas")
    assert (marges.attempts, marges.concurrency, marges.queue_limit) == (1, 3, 7)
    assert (lisas.attempts, lisas.concurrency, lisas.queue_limit) == (3, 16, 7)
    assert (marges.attempt_timeout, marges.call_timeout) == (2, 6)
    weather = settings.limits_of("weather", settings.weather_timeout, 10)
    assert (weather.attempt_timeout, weather.call_timeout, weather.concurrency) == (5, 9, 10)
    row = next(row for row in loaded.table() if row.name == "policies")
    assert row.value == "marges (pool_size=3 attempts=1)"
    monkeypatch.delenv("SPRINGFIELD_POLICIES")
    file = tmp_path / "springfield.toml"
    file.write_text("[policies.homers]\nstore_timeout = 9\nbreaker_failures = 0\n")
    with pytest.raises(InvalidSettings, match=r"policies\.homers\.breaker_failures = 0"):
        load_settings({}, file)


def test_all_mistakes_of_policies_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    policies = '{"ned": {"attempts": 0}, "bart": {"retry_budget": 2, "x": 1}}'
    monkeypatch.setenv("SPRINGFIELD_POLICIES", policies)
    with pytest.raises(InvalidSettings) as caught:
        load()
    mistakes = "\n".join(caught.value.mistakes)
    for words in ("policies.ned.attempts", "bart.retry_budget", "bart.x", "'ned' is none of"):
        assert words in mistakes
    monkeypatch.setenv("SPRINGFIELD_POLICIES", "[1]")
    with pytest.raises(InvalidSettings, match="policies"):
        load()


def test_preconditions_may_be_required_of_any_resource_that_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPRINGFIELD_RESOURCES", '{"x": {"kind": "json", "url": "sqlite:x"}}')
    assert load(require_precondition="x bart").require_precondition == {"x", "bart"}
    with pytest.raises(InvalidSettings, match="no resource 'nosuch'"):
        load(require_precondition="nosuch")
    (tmp_path / "it.toml").write_text('require_precondition = ["lisas", "nosuch"]')
    with pytest.raises(InvalidSettings, match="no resource 'nosuch'"):
        load_settings({}, tmp_path / "it.toml")


def test_kubernetes_service_links_are_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPRINGFIELD_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("SPRINGFIELD_PORT_8000_TCP_ADDR", "10.0.0.1")
    assert load().port == 8000


def test_a_file_that_is_absent_or_no_toml_is_refused(tmp_path: Path) -> None:
    for absent in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(InvalidSettings, match="not there or no file"):
            load_settings({}, absent)
    (tmp_path / "latin.toml").write_bytes(b'host = "\xff"')
    with pytest.raises(InvalidSettings, match="not TOML"):
        load_settings({}, tmp_path / "latin.toml")
    (tmp_path / "broken.toml").write_text("port = \n")
    with pytest.raises(InvalidSettings, match="not TOML"):
        load_settings({}, tmp_path / "broken.toml")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_PASSWORD", "hunter2")
    monkeypatch.setenv("MONGODB_URI", "mongodb://bart:hunter2@mongo/test?x=1")
    monkeypatch.setenv(
        "SPRINGFIELD_RESOURCES", '{"a": {"kind": "text", "url": "redis://:hunter2@h"}}'
    )
    monkeypatch.setenv("WEATHER_URI", "https://api.example/now?appid=hunter2")
    assert "hunter2" not in str(load_settings({}, None).table())


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1  # type: ignore[misc]
