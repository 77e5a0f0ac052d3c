import os
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nstd.spool.names import candidates, content_name, join_name, to_name, to_text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"cat.jpg", "cat.jpg"),
        ("Bildschirmfoto 9.41\u202fAM größer.png".encode(), "Bildschirmfoto 9.41\u202fAM größer.png"),
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        (b"a\nb\x1b[2J.jpg", r"a\x0ab\x1b[2J.jpg"),
        ("c1\x9b2J.jpg".encode(), r"c1\xc2\x9b2J.jpg"),
        (b"back\\slash.jpg", r"back\\slash.jpg"),
        (rb"looks\xe9like.jpg", r"looks\\xe9like.jpg"),
    ],
)
def test_names_are_shown_as_text_that_a_terminal_survives(name: bytes, text: str):
    assert to_text(os.fsdecode(name)) == text
    assert os.fsencode(to_name(text)) == name


@given(st.binary(min_size=1, max_size=255))
@example(b"\\x41")
def test_text_gives_back_any_name(name: bytes):
    text = to_text(os.fsdecode(name))
    assert os.fsencode(to_name(text)) == name
    assert text.encode().decode() == text


@given(st.text(max_size=255), st.text(max_size=20))
def test_joined_names_fit_and_keep_their_tail(stem: str, tail: str):
    name = join_name(stem, tail)
    assert len(os.fsencode(name)) <= 255
    assert name.endswith(tail)
    assert stem.startswith(name.removesuffix(tail) if tail else name)


def test_names_are_shortened_between_characters():
    assert join_name("é" * 127, "1") == "é" * 127 + "1"
    assert join_name("é" * 127, "12") == "é" * 126 + "12"


def test_candidates_count_from_two():
    assert list(islice(candidates("cat.jpg"), 3)) == ["cat.jpg", "cat_2.jpg", "cat_3.jpg"]


@pytest.mark.parametrize("name", ["x" * 251 + ".jpg", "a." + "x" * 253, "x" * 255])
def test_candidates_of_the_longest_names_fit(name: str):
    first, second, third = islice(candidates(name), 3)
    assert first == name
    assert len({first, second, third}) == 3
    assert len(second) <= 255


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cat.JPG", "content.jpg"),
        ("cat", "content"),
        ("cat.", "content"),
        ("cat.j\udce9g", "content"),
        ("cat.jpg\n", "content"),
        ("cat.averyverylong", "content"),
        ("cat.tar.gz", "content.gz"),
    ],
)
def test_content_keeps_only_harmless_extensions(name: str, content: str):
    assert content_name(name) == content
