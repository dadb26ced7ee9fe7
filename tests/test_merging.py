import time

import pytest

from springfield.errors import InvalidContent
from springfield.merging import merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # RFC 7396, appendix A
        ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
        ('{"a":"b"}', '{"a":null}', "{}"),
        ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
        ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
        ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
        ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
        ('["a","b"]', '["c","d"]', '["c","d"]'),
        ('{"a":"b"}', '["c"]', '["c"]'),
        ('{"a":"foo"}', "null", "null"),
        ('{"a":"foo"}', '"bar"', '"bar"'),
        ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
        ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
        ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
        # blanks, escapes, order, and keys that are spelled in two ways
        (' { "a" : 1.0 , "b" : [ 2 , 3 ] } ', ' { "c" : -0 } ', '{"a":1.0,"b":[ 2 , 3 ],"c":-0}'),
        (r'{"\u0061":1,"b":"\u00e9"}', '{"a":2}', r'{"\u0061":2,"b":"\u00e9"}'),
        ('{"a":{"b":1e2,"c":2}}', '{"a":{"c":{"d":1.50}}}', '{"a":{"b":1e2,"c":{"d":1.50}}}'),
        ("{}", "{}", "{}"),
        ('{"a":null}', '{"a":{"b":null}}', '{"a":{}}'),
        ("1", "{}", "{}"),
    ],
)
def test_a_patch_is_merged(target: str, patch: str, merged: str) -> None:
    assert merge_patch(target, patch) == merged


@pytest.mark.parametrize("patch", ['{"a":1}', '{"z":1}'])
def test_a_key_that_is_there_twice_is_refused(patch: str) -> None:
    with pytest.raises(InvalidContent, match='"a" twice'):
        merge_patch('{"a":1,"b":2,"a":3}', patch)


def test_a_deep_patch_costs_in_proportion_to_the_text() -> None:
    def seconds(depth: int) -> float:
        inner = "[" + "0," * 50_000 + "0]"
        target = '{"a":' * depth + inner + "}" * depth
        patch = '{"a":' * depth + "{}" + "}" * depth
        began = time.process_time()
        assert merge_patch(target, patch).startswith("{")
        return time.process_time() - began

    assert min(seconds(90) for _ in range(3)) < 10 * max(seconds(1) for _ in range(3)) + 0.05
