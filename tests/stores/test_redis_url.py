"""What a Redis URL says, and which cannot be right."""

import pytest

from springfield.errors import Misconfigured
from springfield.stores.redis.url import RedisUrl, parse_redis_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", RedisUrl("redis", (("h", 6379),), login={"db": 0})),
        (
            "redis://us%40er:p%2Fw:@[::1]:7/3?prefix=a%20%2A%26",
            RedisUrl(
                "redis",
                (("::1", 7),),
                prefix=b"a *&",
                login={"db": 3, "username": "us@er", "password": "p/w:"},
            ),
        ),
        (
            "rediss://:pw@h:1?ssl_ca_certs=/ca.pem",
            RedisUrl(
                "rediss", (("h", 1),), login={"db": 0, "password": "pw", "ssl_ca_certs": "/ca.pem"}
            ),
        ),
        ("unix:///a%20b.sock?db=2", RedisUrl("unix", path="/a b.sock", login={"db": 2})),
        (
            "redis+cluster://u:p@a:1,b",
            RedisUrl(
                "redis+cluster",
                (("a", 1), ("b", 6379)),
                login={"db": 0, "username": "u", "password": "p"},
            ),
        ),
        (
            "redis+sentinel://a,b:5/main/4?sentinel_password=q",
            RedisUrl(
                "redis+sentinel",
                (("a", 26379), ("b", 5)),
                service="main",
                login={"db": 4},
                sentinel_login={"password": "q"},
            ),
        ),
    ],
)
def test_a_url_is_read(url: str, expected: RedisUrl) -> None:
    assert parse_redis_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cr3t@",
        "redis://:s3cr3t@h:port",
        "redis://:s3cr3t@h:99999",
        "redis://:s3cr3t@h/one",
        "redis://:s3cr3t@h/1/2",
        "redis://:s3cr3t@h/-1",
        "redis://:s3cr3t@a,b",
        "redis://:s3cr3t@h?timeout=1",
        "redis+cluster://:s3cr3t@h/1",
        "redis+cluster://:s3cr3t@h,",
        "redis+sentinel://:s3cr3t@h",
        "redis+sentinel://:s3cr3t@h/main/1/2",
        "unix://:s3cr3t@",
        "unix://:s3cr3t@/folder/",
        "unix://:s3cr3t@/r.sock?db=x",
    ],
)
def test_a_url_that_cannot_be_right_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_redis_url(url)
    assert "The store URL" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in repr(caught.value.__cause__)
