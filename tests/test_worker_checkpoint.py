"""Checkpoints as files: whole or not at all, and only for the painting that they are of."""

import hashlib
import json
import re

import numpy as np
import pytest
from checkpoint_samples import BEGINNING, FINGERPRINT
from hypothesis import given, settings
from hypothesis import strategies as st

from nstd.engine.state import Progress
from nstd.errors import CheckpointError
from nstd.job import Losses
from nstd.preset import Network
from nstd.worker.checkpoint import pack, unpack

HISTORY = tuple(
    Losses(step=step, total=100 / (step + 1), terms={"content.block4_conv2": 1.5, "gram.block1_conv1": 0.1})
    for step in range(3)
)
CHECKPOINT = BEGINNING.model_copy(
    update={"progress": Progress(history=HISTORY, level_seconds=1.1, style_seconds=0.1, seconds=1 / 3)}
)
ARRAYS = [
    np.random.default_rng(1).normal(size=(1, 4, 3, 3)).astype(np.float32),
    np.array(np.nan, np.float32),
    np.array([np.inf, -0.0, 1e-45], np.float32),
]
FILE = b"".join(pack(CHECKPOINT, ARRAYS))


def test_what_was_packed_is_unpacked_to_the_last_bit():
    checkpoint, arrays = unpack(FILE, FINGERPRINT)
    assert checkpoint == CHECKPOINT
    assert [(array.shape, array.dtype, array.tobytes()) for array in arrays] == [
        (array.shape, np.float32, array.tobytes()) for array in ARRAYS
    ]


def test_it_can_be_read_by_its_first_lines():
    title, header, _ = FILE.split(b"\n", 2)
    assert title == b"nstd checkpoint 1"
    assert json.loads(header)["checkpoint"]["progress"]["history"][2]["total"] == pytest.approx(100 / 3)


def test_arrays_need_not_be_contiguous():
    turned = np.arange(12, dtype=np.float32).reshape(3, 4).T
    _, [array] = unpack(b"".join(pack(CHECKPOINT, [turned])), FINGERPRINT)
    np.testing.assert_array_equal(array, turned)


@pytest.mark.parametrize("size", [*range(0, len(FILE), 97), len(FILE) - 1])
def test_a_file_that_was_cut_off_is_refused(size):
    with pytest.raises(CheckpointError, match=r"is damaged or cut off|is not an nstd checkpoint of this version"):
        unpack(FILE[:size], FINGERPRINT)


@given(st.integers(0, len(FILE) * 8 - 1))
@settings(max_examples=500, deadline=None)
def test_one_flipped_bit_is_enough_to_refuse_it(bit):
    damaged = bytearray(FILE)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CheckpointError, match=r"is damaged or cut off|is not an nstd checkpoint of this version"):
        unpack(bytes(damaged), FINGERPRINT)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    with pytest.raises(CheckpointError):
        unpack(data, FINGERPRINT)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"nstd_version": "2"}, "it is of another painting: its nstd_version is '1' (expected '2')"),
        ({"tensorflow_version": "3"}, "its tensorflow_version is '2' (expected '3')"),
        ({"device": "gpu:0"}, "its device is 'cpu' (expected 'gpu:0')"),
        ({"precision": "bfloat16"}, "its precision is 'float32' (expected 'bfloat16')"),
        ({"network": Network.VGG16}, "its network is 'vgg19' (expected 'vgg16')"),
        ({"weights_sha256": "9" * 64}, "its weights_sha256 is '000"),
        ({"content_sha256": "9" * 64}, "its content_sha256 is '111"),
        ({"styles": (("2" * 64, 1.0),)}, "its styles is [['222"),
        ({"preset": FINGERPRINT.preset.model_copy(update={"seed": 7})}, "its preset.seed is 0 (expected 7)"),
        (
            {"preset": FINGERPRINT.preset.model_copy(update={"style_layers": {"block1_conv1": 2.0}})},
            "its preset.style_layers.block1_conv1 is",
        ),
    ],
)
def test_the_checkpoint_of_another_painting_is_refused_with_what_differs(other, reason):
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        unpack(FILE, FINGERPRINT.model_copy(update=other))


def sealed(header: bytes, numbers: bytes) -> bytes:
    """A file that some other program has written with care."""

    data = b"nstd checkpoint 1\n" + header + b"\n" + numbers
    return data + hashlib.sha256(data).digest()


def test_a_header_that_makes_no_sense_is_refused():
    with pytest.raises(CheckpointError, match=r"its header cannot be read: 1 validation error"):
        unpack(sealed(b"{", b""), FINGERPRINT)


def test_numbers_that_are_not_as_many_as_told_are_refused():
    _, header, _ = FILE.split(b"\n", 2)
    with pytest.raises(CheckpointError, match="it holds 8 bytes of numbers, and not those of the shapes that it tells"):
        unpack(sealed(header, bytes(8)), FINGERPRINT)
