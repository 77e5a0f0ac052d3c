"""Files in pieces, without a cluster."""

import errno
import hashlib
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import GetTimeoutError, ObjectStoreFullError, RayActorError

from nstd.cluster.messages import Parcel
from nstd.cluster.parcels import Incoming, Outgoing, ends_of, pieces_of, receive, write
from nstd.errors import SpoolError

MB = 1_000_000
NAME = Path("checkpoint")


@given(st.integers(0, 10_000 * MB))
def test_pieces_have_8_to_16_mb(size):
    ends = ends_of(size)
    sizes = [end - begin for begin, end in pairwise([0, *ends])]
    assert ends[-1] == size
    assert max(sizes) <= 16 * MB
    assert len(sizes) == 1 or min(sizes) >= 8 * MB
    assert max(sizes) - min(sizes) <= 1


def data(size: int) -> bytes:
    return np.random.default_rng(0).bytes(size)


def pieces(outgoing: Outgoing) -> list[np.ndarray]:
    return [outgoing.piece(number) for number in range(len(outgoing.ends))]


@pytest.mark.parametrize("cuts", [[], [0], [1, 18], [17 * MB], [5, 5, 9 * MB, 16 * MB, 16 * MB + 1, 34 * MB]])
def test_whatever_a_file_is_made_of_it_comes_as_it_is(cuts):
    whole = data(35 * MB)
    bounds = [0, *cuts, len(whole)]
    outgoing = Outgoing([whole[begin:end] for begin, end in pairwise(bounds)])
    parcel = outgoing.parcel(NAME, for_good=True)
    assert parcel == Parcel(path="checkpoint", pieces=3, sha256=hashlib.sha256(whole).hexdigest(), for_good=True)
    incoming = Incoming()
    for piece in pieces(outgoing):
        incoming.add(piece)
    assert incoming.whole(parcel.sha256) == whole


def test_arrays_are_sent_as_their_bytes():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert Outgoing([array.data]).piece(0).tobytes() == array.tobytes()


def test_empty_file_is_a_piece_of_nothing():
    assert [piece.size for piece in pieces(Outgoing([b""]))] == [0]


def test_checkpoint_that_reaches_the_worker_is_held_once():
    whole = np.zeros(200 * MB, np.uint8)
    sha256 = hashlib.sha256(whole.data).hexdigest()
    incoming, ends = Incoming(), ends_of(whole.size)
    tracemalloc.start()
    try:
        for begin, end in pairwise([0, *ends]):
            incoming.add(whole[begin:end])
        assert len(incoming.whole(sha256)) == whole.size
        assert tracemalloc.get_traced_memory()[1] < 1.3 * whole.size
    finally:
        tracemalloc.stop()


def test_checkpoint_that_reaches_the_worker_as_another_is_refused():
    incoming = Incoming()
    incoming.add(np.frombuffer(b"ab", np.uint8))
    found, expected = (hashlib.sha256(text).hexdigest() for text in (b"ab", b"abc"))
    with pytest.raises(SpoolError) as caught:
        incoming.whole(expected)
    assert str(caught.value) == f"a checkpoint has reached the worker with the SHA-256 {found}, expected {expected}"


def test_file_is_read_in_pieces(tmp_path):
    whole = data(20 * MB)
    (tmp_path / "checkpoint").write_bytes(whole)
    assert [piece.size for piece in pieces_of(tmp_path / "checkpoint")] == [10 * MB, 10 * MB]
    assert b"".join(piece.tobytes() for piece in pieces_of(tmp_path / "checkpoint")) == whole
    with pytest.raises(SpoolError, match=r"^cannot read what a worker needs: .*nowhere: No such file or directory$"):
        next(pieces_of(tmp_path / "nowhere"))


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "checkpoint"
    path.write_bytes(b"the older one")
    return path


@pytest.mark.parametrize("for_good", [True, False])
def test_file_that_has_come_whole_replaces_the_older_one(checkpoint, for_good):
    outgoing = Outgoing([b"the ", b"newer one"])
    write(outgoing.parcel(NAME, for_good=for_good), checkpoint, pieces(outgoing))
    assert checkpoint.read_bytes() == b"the newer one"
    assert [*checkpoint.parent.iterdir()] == [checkpoint]


@pytest.mark.parametrize("for_good", [True, False])
def test_file_that_comes_damaged_leaves_the_older_one(checkpoint, for_good):
    outgoing = Outgoing([b"the newer one"])
    parcel = outgoing.parcel(NAME, for_good=for_good)
    damaged = outgoing.piece(0)
    damaged[3] ^= 1
    with pytest.raises(OSError, match=r"has arrived with the SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}") as caught:
        write(parcel, checkpoint, [damaged])
    assert caught.value.errno == errno.EIO
    assert checkpoint.read_bytes() == b"the older one"
    assert [*checkpoint.parent.iterdir()] == [checkpoint]


@pytest.mark.parametrize("for_good", [True, False])
def test_file_of_which_a_piece_is_lost_leaves_the_older_one(checkpoint, for_good):
    outgoing = Outgoing([bytes(40 * MB)])

    def until_the_node_is_lost():
        yield outgoing.piece(0)
        raise RayActorError

    with pytest.raises(RayActorError):
        write(outgoing.parcel(NAME, for_good=for_good), checkpoint, until_the_node_is_lost())
    assert checkpoint.read_bytes() == b"the older one"
    assert [*checkpoint.parent.iterdir()] == [checkpoint]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (None, (0, "")),
        (ObjectStoreFullError("no room\nat all"), (errno.EIO, "a piece was lost on its way: no room")),
        (GetTimeoutError("too slow"), (errno.EIO, "a piece was lost on its way: too slow")),
        (OSError(errno.ENOSPC, "No space left on device"), (errno.ENOSPC, "No space left on device")),
        (OSError("odd"), (errno.EIO, "odd")),
    ],
)
def test_sender_is_told_what_became_of_its_file(checkpoint, error, told):
    outgoing, settled = Outgoing([b"the newer one"]), []

    def fetched():
        yield outgoing.piece(0)
        if error:
            raise error

    receive(outgoing.parcel(NAME, for_good=True), checkpoint, fetched(), lambda *words: settled.append(words))
    assert settled == [told]
    assert checkpoint.read_bytes() == (b"the older one" if error else b"the newer one")


def test_sender_that_has_fallen_is_told_nothing(checkpoint):
    outgoing = Outgoing([b"the newer one"])

    def fetched():
        yield outgoing.piece(0)
        raise RayActorError

    with pytest.raises(RayActorError):
        receive(outgoing.parcel(NAME, for_good=True), checkpoint, fetched(), pytest.fail)
