"""Image files made by hand, sound and hostile: what the tests of the images share."""

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

JPEG_START_OF_SCAN = b"\xff\xda"
PNG_HEADER_BYTES = 33
# White as seen under the light that profiles refer to.
D50 = (0.9642, 1.0, 0.8249)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes = b"", *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def png_of_black(side: int) -> bytes:
    """One bit a pixel: the most that a PNG can claim in earnest with the fewest bytes."""
    return png(side, side, bytes(side * (side // 8 + 1)), bits=1)


def png_with(data: bytes, extra: bytes) -> bytes:
    """The same picture with more chunks before its pixels."""
    return data[:PNG_HEADER_BYTES] + extra + data[PNG_HEADER_BYTES:]


def packed_text(size: int) -> bytes:
    """A chunk of text that unpacks to so many bytes of nothing."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size)))


def png_of_16_bits(image: Image.Image) -> bytes:
    rows = (b"\0" + row.astype(">u2").tobytes() for row in _in_16_bits(image))
    return png(*image.size, b"".join(rows), bits=16, colour=2)


def tiff_of_16_bits(image: Image.Image) -> bytes:
    pixels = _in_16_bits(image).astype("<u2").tobytes()
    tags = {256: image.width, 257: image.height, 258: 0, 259: 1, 262: 2, 273: 0, 277: 3, 278: image.height}
    tags[279] = len(pixels)
    tags[258] = 8 + 2 + 12 * len(tags) + 4
    tags[273] = tags[258] + 6
    entries = b"".join(
        struct.pack("<HHII", tag, *((3, 3) if tag == 258 else (4, 1)), value) for tag, value in tags.items()
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + struct.pack("<3H", 16, 16, 16) + pixels


def gif_of_one_huge_frame() -> bytes:
    """Disposal method 2: the reader fills the frame with the background before anything is decoded."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 100, 100, 0x80, 0, 0) + bytes(6)
    control = b"!\xf9\x04\x08" + bytes(4)
    return screen + control + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00;"


def tiff_of_one_huge_tile(side: int = 20_000) -> bytes:
    """A picture of 100 x 100 in the corner of a tile that unpacks to 400 MB."""
    blob = zlib.compress(bytes(side * side))
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 0, 325: len(blob)}
    tags[324] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + blob


def webp_claiming(width: int, height: int) -> bytes:
    canvas = struct.pack("<I", 0) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _webp(b"VP8X", canvas)


def webp_of_black(width: int, height: int) -> bytes:
    """A sound lossless picture, complete in 32 bytes whatever its size: each of five codes has one symbol, 0."""
    bits, length = width - 1 | (height - 1) << 14, 28
    length += 4 + 3  # no alpha, version 0; no transform, no colour cache, one group of codes
    for _ in range(5):
        bits, length = bits | 1 << length, length + 4  # a simple code of one symbol, in one bit, which is 0
    return _webp(b"VP8L", b"\x2f" + bits.to_bytes(11, "little"))


def jpeg_with(data: bytes, marker: int, payload: bytes) -> bytes:
    """The same picture with a payload before it, in as many segments as it needs."""
    room = 65_533
    parts = (payload[start : start + room] for start in range(0, len(payload), room))
    segments = (bytes([0xFF, marker]) + struct.pack(">H", len(part) + 2) + part for part in parts)
    return data[:2] + b"".join(segments) + data[2:]


def fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def icc_profile(device: bytes, space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    """Lay out an ICC version 2 profile: ICC.1:2001-04, section 6."""
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table += signature + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"\0" * 4, 0x02400000, device, space, connection)
    header = (header + bytes(12) + b"acsp").ljust(68, b"\0") + fixed(*D50)
    return header.ljust(128, b"\0") + table + body


def cmyk_profile_of_grey_cyan() -> bytes:
    """White paper; full cyan prints as Lab(50, 0, 0), all else as black."""
    ramp = bytes(range(256))
    white, grey, black = b"\xff\x80\x80", b"\x80\x80\x80", b"\x00\x80\x80"
    nodes = b"".join({0: white, 8: grey}.get(node, black) for node in range(16))  # cyan varies slowest
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + nodes + ramp * 3
    return icc_profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": xyz(D50), b"A2B0": lut})


def _in_16_bits(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.uint16) * 257


def _webp(kind: bytes, data: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body
