"""The real process with its three keyed resources on one store: the same tests for each store."""

from collections.abc import Iterator

import pytest

from tests.service import ServiceProcess, running, springfield

STORES = ["sqlite", "mongodb", "redis", "mysql", "s3"]


def environment_for(store: str, request: pytest.FixtureRequest, label: str) -> dict[str, str]:
    """Bind homers, lisas and marges to a fresh place of this store."""
    resources = ("homers", "lisas", "marges")
    match store:
        case "mongodb":
            url = request.getfixturevalue("mongodb_server").url
            urls = {each: f"{url}?collection={label}_{each}" for each in resources}
        case "redis":
            url = request.getfixturevalue("redis_server").url
            urls = {each: f"{url}?prefix={label}:{each}:" for each in resources}
        case "mysql":
            url = request.getfixturevalue("mysql_server").url
            urls = {each: f"{url}?table={label}_{each}" for each in resources}
        case "s3":
            server = request.getfixturevalue("s3_server")
            urls = {each: f"s3://{server.bucket}/{label}/{each}/" for each in resources}
            return {
                "AWS_ENDPOINT_URL_S3": server.url,
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
                "SPRINGFIELD_STORE_TIMEOUT": "10",
                **{f"SPRINGFIELD_{each.upper()}_URL": url for each, url in urls.items()},
            }
        case _:
            return {}
    return {f"SPRINGFIELD_{each.upper()}_URL": url for each, url in urls.items()}


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def service(
    store: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    directory = tmp_path_factory.mktemp(store)
    environment = environment_for(
        store, request, request.node.name.partition(".")[0].replace("/", "_")
    )
    ended = springfield("init", "--with-ttl", directory=directory, **environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    with running(directory, "--log-level=warning", **environment) as service:
        yield service
