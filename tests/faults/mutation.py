"""Damage to bytes: flipped, cut, doubled, zeroed, and replaced by what parsers stumble over."""

from __future__ import annotations

from random import Random

#: What texts are hit with.
WORDS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"&a ",
        b"*a",
        b"\n- ",
        b"'",
        b'"',
        b"!!",
        b"9",
        b"e9",
        b"e400",
        b"\t",
        b"<<: ",
    ),
    *(
        b": ",
        b"\x00",
        b"\xff",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"nan",
        b"-",
        b",",
        b";",
        b"#",
        b"\x1b[31m",
        b"\n",
    ),
    *(
        "\u202e\u0085\ud7ff".encode(),
        b"12:30:45",
        b"2001-01-01",
        b"1_0",
        b"0x1F",
        b"1e-400",
        b"99999999999999999999",
    ),
)
#: Lengths, counts and offsets that binary formats are hit with.
_EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def damaged(content: bytes, chance: Random, words: tuple[bytes, ...] = ()) -> bytes:
    """Return ``content`` after one to a few mishaps; ``words`` are put in among other things."""
    image = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if image:
            _mishap(image, chance, words)
    return bytes(image)


def _mishap(image: bytearray, chance: Random, words: tuple[bytes, ...]) -> None:
    where = _place(image, chance)
    kind = chance.randrange(8)
    if kind == 0:
        image[where] ^= 1 << chance.randrange(8)
    elif kind == 1:
        image[where] = chance.randrange(256)
    elif kind == 2:
        width = chance.choice((1, 2, 4, 8))
        image[where : where + width] = (chance.choice(_EDGES) % 256**width).to_bytes(width, "little")
    elif kind == 3:
        length = min(chance.choice((4, 16, 100, 512)), len(image) - where)
        image[where : where + length] = chance.choice(
            (bytes(length), b"\xff" * length, chance.randbytes(length))
        )
    elif kind == 4 and words:
        image[where:where] = chance.choice(words)
    elif kind == 5:
        del image[where : where + chance.choice((1, 2, 9, 100))]
    elif kind == 6:
        image[where:where] = image[where : where + chance.choice((1, 8, 40, 300))]
    elif chance.random() < 0.2:
        del image[where:]
    else:  # a piece of the file in another place of it, as a pointer that goes astray
        other = _place(image, chance)
        length = chance.choice((4, 8, 8, 8, 32))
        image[where : where + length] = image[other : other + length]


def _place(image: bytearray, chance: Random) -> int:
    """Return a position, mostly one where something stands."""
    for _ in range(4):
        where = chance.randrange(len(image))
        if image[where]:
            break
    return where
