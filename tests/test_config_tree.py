from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nstd.config.document import Document
from nstd.config.tree import read_document
from nstd.errors import ConfigError


def read(text: str) -> Document:
    return read_document(text.encode(), Path("config.yaml"))


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read(text).problems]


def test_anchors_repeat_their_value_at_each_alias():
    assert read("a: &x {b: [1]}\nc: *x").value == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_merged_entries_give_way_to_the_mappings_own():
    assert read("a: &x {b: 1, c: 1}\nd: {<<: *x, c: 2}").value["d"] == {"b": 1, "c": 2}


def test_earlier_of_several_merged_mappings_wins():
    text = "a: &a {k: 1}\nb: &b {k: 2, l: 2}\nc: {<<: [*a, *b]}"
    assert read(text).value["c"] == {"k": 1, "l": 2}


def test_merges_reach_through_merges():
    assert read("a: &a {k: 1}\nb: &b {<<: *a, l: 2}\nc: {<<: *b}").value["c"] == {"k": 1, "l": 2}


def test_merged_entry_has_the_place_where_it_was_written():
    document = read("a: &x\n  b: 1\nc:\n  <<: *x")
    assert str(document.problem(("c", "b"), "is wrong")) == "2:6: c.b: is wrong"


def test_quoted_merge_key_is_a_key_like_others():
    assert read("'<<': 1").value == {"<<": 1}


def test_second_merge_key_is_a_duplicate():
    text = "a: &a {k: 1}\nb: {<<: *a, <<: *a}"
    assert problems(text) == ["2:13: b.<<: duplicate key '<<' (first on line 2)"]


def test_of_duplicate_keys_the_first_is_kept():
    assert read("a: 1\na: 2").value == {"a": 1}


def test_duplicate_inside_a_merged_mapping_is_told():
    assert problems("a: {<<: {k: 1, k: 2}}") == ["1:16: a.k: duplicate key 'k' (first on line 1)"]


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "a: &a {<<: [*a, *a]}", "a: &a [*a, *a]"],
)
def test_anchor_that_holds_itself_is_refused(text: str):
    with pytest.raises(ConfigError, match=r"^config\.yaml:1:\d+: is nested more than 50 deep; does an anchor hold it"):
        read(text)


@pytest.mark.parametrize(("first", "rest"), [("[x]", "[{0}]"), ("{{<<: {{k: v}}}}", "{{<<: [{0}]}}")])
def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(first: str, rest: str):
    lines = [f"a0: &a0 {first.format()}"]
    for n in range(1, 12):
        aliases = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} {rest.format(aliases)}")
    with pytest.raises(ConfigError, match=r": has more than 50000 values, with those that aliases repeat$"):
        read("\n".join(lines))


def test_place_of_a_setting_is_that_of_its_value():
    document = read("presets:\n  a:\n    size_px: 5\n")
    assert str(document.problem(("presets", "a", "size_px"), "x")) == "3:14: presets.a.size_px: x"


def test_place_of_an_empty_value_is_behind_its_key():
    assert str(read("spool:\n  inbox:\n").problem(("spool", "inbox"), "x")) == "2:9: spool.inbox: x"


def test_place_can_be_that_of_the_key():
    assert str(read("a: {b: 1}").problem(("a", "b"), "x", at_key=True)) == "1:5: a.b: x"


def test_place_of_what_is_missing_is_where_it_should_stand():
    document = read("presets:\n  a: {styles: [{}]}")
    assert str(document.problem(("presets", "a", "x", "y"), "z")) == "2:3: presets.a.x.y: z"
    assert str(document.problem(("presets", "a", "styles", 0, "image"), "z")) == ("2:16: presets.a.styles[0].image: z")
    assert str(document.problem(("spool", "inbox"), "z")) == "1:1: spool.inbox: z"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("0", 0),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e5", 100_000.0),
        ("1.e-3", 0.001),
        (".inf", float("inf")),
        ("on", True),
        ("No", False),
        ("~", None),
        ("''", ""),
        ("null", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!int x", "x"),
        ("!!int ''", ""),
        ("!!bool maybe", "maybe"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("010", "010"),
        ("-010", "-010"),
        ("08", "08"),
        ("2026-11-23", "2026-11-23"),
        ("=", "="),
        ("9" * 5000, "9" * 5000),
        ("|\n  x\n  y\n", "x\ny\n"),
    ],
)
def test_scalars_are_read_without_surprises(written: str, value: object):
    document = read(f"a: {written}")
    assert document.value["a"] == value
    assert type(document.value["a"]) is type(value)
    assert document.problems == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii", categories=["L"])),
    lambda child: st.lists(child) | st.dictionaries(st.text(st.sampled_from("abc"), min_size=1), child),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from("abc"), JSON, min_size=1))
def test_quoted_yaml_is_read_as_it_was_written(value: dict[str, object]):
    def write(part: object) -> str:
        match part:
            case dict():
                return "{" + ", ".join(f"'{key}': {write(item)}" for key, item in part.items()) + "}"
            case list():
                return "[" + ", ".join(map(write, part)) + "]"
            case str():
                return f"'{part}'"
            case None:
                return "null"
            case _:
                return str(part).lower()

    assert read(write(value)).value == value
