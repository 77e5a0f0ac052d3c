from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nstd.config.syntax import FAST_LOADER, compose
from nstd.errors import ConfigError

FILE = Path("config.yaml")
LOADERS = [pytest.param(FAST_LOADER, id="libyaml"), pytest.param(yaml.SafeLoader, id="pure")]

INDENTATION = "does not fit the lines above; check the indentation, and put quotes around special text"
ESCAPE = "no such escape in double quotes; put text with backslashes into single quotes"


def error(data: bytes | str, loader: type = FAST_LOADER) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(data if isinstance(data, bytes) else data.encode(), FILE, loader)
    return str(caught.value)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n\tb: 1", "2:1: a tab cannot indent; use spaces"),
        ("a: @x", "1:4: put quotes around text that begins with '@'"),
        ("a: %x", "1:4: put quotes around text that begins with '%'"),
        ("b: 1\na: 'x\n", "2:4: the quoted text is never closed"),
        ("a: b: c", f"1:5: ':' is not expected here; {INDENTATION}"),
        ("a: 1\n b: 2", f"2:3: ':' is not expected here; {INDENTATION}"),
        ("a: - b", "1:4: '-' is not expected here; begin the list on its own line"),
        ("a: 1\nb\nc: 2", "2:1: a ':' is missing after this name"),
        ("a: [1, 2\nb: 3", "1:4: the list that begins here lacks a ',' or its ']'"),
        ("a: {b: 1\nc: 2", "1:4: the mapping that begins here lacks a ',' or its '}'"),
        ("a: *nope", "1:4: no '&anchor' above has this alias's name"),
        ("a: &x 1\nb: &x 2", "2:4: another '&anchor' above has the same name"),
        ("a: 1\n---\nb: 2", "2:1: only one document is allowed; remove the lines '---' and '...'"),
        ("a: 1\n...\nb: 2", "3:1: only one document is allowed; remove the lines '---' and '...'"),
        ("a:\n  b: 1\n c: 2", f"3:2: {INDENTATION}"),
        ("a: 'b' c", f"1:8: {INDENTATION}"),
        ("- a\nb: 1", f"2:1: {INDENTATION}"),
        ("a: ]", "1:4: a value is expected here"),
        ("%YAML 3.0\n---\na: 1", "1:1: cannot be read as YAML: found incompatible YAML document"),
        ("a: \0", "1:4: character U+0000 is not allowed; write it as an escape in double quotes"),
        ("é: 1\r\na: b\x07", "2:5: character U+0007 is not allowed; write it as an escape in double quotes"),
    ],
)
def test_broken_yaml_is_told_in_plain_words(text: str, message: str, loader: type):
    assert error(text, loader).startswith(f"config.yaml:{message}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (r'a: "C:\photos"', "1:7"),
        (r'a: "\x4"', "1:7"),
    ],
)
def test_wrong_escape_is_told_at_its_place(text: str, place: str):
    line, column = place.split(":")
    # libyaml points at the backslash, PyYAML at what follows it.
    assert error(text, FAST_LOADER) in {f"config.yaml:{line}:{int(column) - n}: {ESCAPE}" for n in (0, 1)}
    assert error(text, yaml.SafeLoader) in {f"config.yaml:{line}:{int(column) + n}: {ESCAPE}" for n in (0, 1)}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("text", [r'a: "\ud800"', r'a: "\U00110000"'])
def test_escape_of_what_is_no_character_is_told(text: str, loader: type):
    assert error(text, loader).endswith(ESCAPE)


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("text", ["[" * 500_000, "- " * 60, "{a: " * 60, "[" * 51 + "]" * 51])
def test_deep_nesting_is_refused_before_it_exhausts_the_stack(text: str, loader: type):
    assert error(text, loader).endswith(": is nested more than 50 deep")


@pytest.mark.parametrize("loader", LOADERS)
def test_moderate_nesting_is_read(loader: type):
    assert compose(b"[" * 50 + b"]" * 50, FILE, loader) is not None


def test_other_encodings_are_told_at_the_first_strange_byte():
    assert error("a: 1\nb: caf\xe9\n".encode("latin-1")) == (
        "config.yaml:2:7: byte 0xe9 is not UTF-8; save the file as UTF-8"
    )


def test_utf16_is_told():
    assert error("a: 1".encode("utf-16-le")).startswith("config.yaml:1:2: character U+0000 is not allowed")


def test_byte_order_mark_is_no_part_of_the_text():
    root = compose(b"\xef\xbb\xbfa: 1", FILE)
    assert root is not None
    assert root.value[0][0].value == "a"


def test_file_that_is_no_config_file_by_its_size_is_refused():
    assert error(b"a" * (1024 * 1024 + 1)) == (
        "config.yaml:1:1: is too large for a config file (more than 1048576 bytes)"
    )


def test_file_without_content_has_no_root():
    assert compose(b"# nothing\n", FILE) is None


@pytest.mark.parametrize("loader", LOADERS)
@given(st.lists(st.sampled_from([*"[]{}:,-?&*!|>'\"%@`#\n \tab\\", "é", "\x85", "\u2028", "- ", ": "])).map("".join))
def test_whatever_the_text_there_is_a_tree_or_an_error_with_its_place(loader: type, text: str):
    try:
        compose(text.encode(), FILE, loader)
    except ConfigError as problem:
        file, line, column, message = str(problem).split(":", 3)
        assert (file, int(line) > 0, int(column) > 0, bool(message.strip())) == ("config.yaml", True, True, True)
