from hashlib import sha256

import pytest

from nstd.errors import WeightsError
from nstd.weights.published import PublishedFile

# Hashes of b"abc", from RFC 6234 and RFC 1321.
SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
MD5 = "900150983cd24fb0d6963f7d28e17f72"


@pytest.mark.parametrize("file", [PublishedFile("a.bin", 3, "sha256", SHA256), PublishedFile("a.bin", 3, "md5", MD5)])
def test_published_bytes_pass(file: PublishedFile) -> None:
    file.check(b"abc")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abcd", "not the published a.bin: 4 bytes, expected 3"),
        (b"abd", f"not the published a.bin: sha256 {sha256(b'abd').hexdigest()}, expected {SHA256}"),
    ],
)
def test_other_bytes_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(WeightsError) as caught:
        PublishedFile("a.bin", 3, "sha256", SHA256).check(content)
    assert str(caught.value) == message
