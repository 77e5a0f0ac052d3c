"""Checkpoints as files: whole or not at all, and only for the painting that they are of."""

import hashlib
import json
import re

import numpy as np
import pytest
from checkpoint_samples import BEGINNING, IDENTITY, PROVENANCE
from hypothesis import given, settings
from hypothesis import strategies as st

from nstd.engine.state import Progress
from nstd.errors import CheckpointError
from nstd.history import Losses
from nstd.network import Network
from nstd.worker.checkpoint import Identity, Provenance, pack, unpack

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
    checkpoint, arrays = unpack(FILE, IDENTITY)
    assert checkpoint == CHECKPOINT
    assert [(array.shape, array.dtype, array.tobytes()) for array in arrays] == [
        (array.shape, np.float32, array.tobytes()) for array in ARRAYS
    ]


def test_it_can_be_read_by_its_first_lines():
    title, header, _ = FILE.split(b"\n", 2)
    assert title == b"nstd checkpoint 4"
    assert json.loads(header)["checkpoint"]["progress"]["history"][2]["total"] == pytest.approx(100 / 3)


def test_arrays_need_not_be_contiguous():
    turned = np.arange(12, dtype=np.float32).reshape(3, 4).T
    _, [array] = unpack(b"".join(pack(CHECKPOINT, [turned])), IDENTITY)
    np.testing.assert_array_equal(array, turned)


@pytest.mark.parametrize("size", [*range(0, len(FILE), 97), len(FILE) - 1])
def test_a_file_that_was_cut_off_is_refused(size):
    with pytest.raises(CheckpointError, match=r"is damaged or cut off|is not an nstd checkpoint of this version"):
        unpack(FILE[:size], IDENTITY)


@given(st.integers(0, len(FILE) * 8 - 1))
@settings(max_examples=500, deadline=None)
def test_one_flipped_bit_is_enough_to_refuse_it(bit):
    damaged = bytearray(FILE)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CheckpointError, match=r"is damaged or cut off|is not an nstd checkpoint of this version"):
        unpack(bytes(damaged), IDENTITY)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data):
    with pytest.raises(CheckpointError):
        unpack(data, IDENTITY)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"network": Network.VGG16}, "it is of another painting: its network is 'vgg19' (expected 'vgg16')"),
        ({"weights_sha256": "9" * 64}, "its weights_sha256 is '000"),
        ({"content_sha256": "9" * 64}, "its content_sha256 is '111"),
        ({"styles": (("2" * 64, 1.0),)}, "its styles is [['222"),
        ({"preset": IDENTITY.preset.model_copy(update={"seed": 7})}, "its preset.seed is 0 (expected 7)"),
        (
            {"preset": IDENTITY.preset.model_copy(update={"style_layers": {"block1_conv1": 2.0}})},
            "its preset.style_layers.block1_conv1 is",
        ),
    ],
)
def test_the_checkpoint_of_another_painting_is_refused_with_what_differs(other, reason):
    with pytest.raises(CheckpointError, match=re.escape(reason)):
        unpack(FILE, IDENTITY.model_copy(update=other))


@pytest.mark.parametrize("name", [*Identity.model_fields])
def test_no_field_of_the_identity_may_differ(name):
    others = {
        "network": Network.VGG16,
        "weights_sha256": "9" * 64,
        "content_sha256": "9" * 64,
        "styles": (),
        "preset": IDENTITY.preset.model_copy(update={"size_px": 100}),
    }
    with pytest.raises(CheckpointError, match=f"it is of another painting: its {name}"):
        unpack(FILE, IDENTITY.model_copy(update={name: others[name]}))


@pytest.mark.parametrize("name", [*Provenance.model_fields])
def test_each_field_of_the_provenance_may_differ_and_is_told(name):
    other = PROVENANCE.model_copy(update={name: "another"})
    checkpoint, _ = unpack(FILE, IDENTITY)
    assert checkpoint.provenance.changes_to(other) == (f"{name}: {getattr(PROVENANCE, name)}, then another",)
    assert checkpoint.provenance.changes_to(PROVENANCE) == ()


def test_what_has_changed_is_remembered_from_checkpoint_to_checkpoint():
    other = PROVENANCE.model_copy(update={"precision": "bfloat16"})
    second = CHECKPOINT.resumed_by(other, decode_seconds=0.5)
    third = second.resumed_by(other, decode_seconds=0.25)
    assert (second.provenance, second.decode_seconds, second.progress) == (other, 0.75, Progress())
    assert second.changes == third.changes == ("precision: float32, then bfloat16",)
    back = third.resumed_by(PROVENANCE, decode_seconds=0)
    assert back.changes == ("precision: float32, then bfloat16", "precision: bfloat16, then float32")


def sealed(header: bytes, numbers: bytes) -> bytes:
    """A file that some other program has written with care."""

    data = b"nstd checkpoint 4\n" + header + b"\n" + numbers
    return data + hashlib.sha256(data).digest()


def test_a_header_that_makes_no_sense_is_refused():
    with pytest.raises(CheckpointError, match=r"its header cannot be read: 1 validation error"):
        unpack(sealed(b"{", b""), IDENTITY)


def test_numbers_that_are_not_as_many_as_told_are_refused():
    _, header, _ = FILE.split(b"\n", 2)
    with pytest.raises(CheckpointError, match="it holds 8 bytes of numbers, and not those of the shapes that it tells"):
        unpack(sealed(header, bytes(8)), IDENTITY)
