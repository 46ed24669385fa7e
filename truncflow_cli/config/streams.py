"""Random numbers: every choice has a stream of its own, so that one more choice changes no other."""

from __future__ import annotations

import hashlib

import numpy as np

from truncflow_cli.problem import Array


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the choice called ``name`` (such as "clusters/2/direction") under ``seed``.

    The name's SHA-256 is the spawn key of a ``SeedSequence``, so streams of different names are independent
    and do not depend on which others are drawn from.
    """
    digest = hashlib.sha256(name.encode()).digest()
    words = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))


def random_orthogonal(rng: np.random.Generator, dim: int) -> Array:
    """Return a (Q, Q) matrix from the Haar measure on O(Q): a QR factor with the signs of R's diagonal."""
    q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
    signs: Array = np.where(np.diag(r) < 0, -1.0, 1.0)
    return np.ascontiguousarray(q * signs)


def random_rotation(rng: np.random.Generator, dim: int) -> Array:
    """Return a (Q, Q) matrix from the Haar measure on SO(Q)."""
    rotation = random_orthogonal(rng, dim)
    if np.linalg.det(rotation) < 0:
        rotation[0] = -rotation[0]
    return rotation
