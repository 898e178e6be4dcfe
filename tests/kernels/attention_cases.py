"""What the tests of both attention kernels share: the definition of softmax, and a head cut into calls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from lane_arrays import LANES, aligned


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def attention_calls(
    tile: int, vectors: int, key_vectors: int, first_lane: int, mask: np.ndarray | None
) -> Iterator[tuple[slice, np.ndarray]]:
    """The vectors of queries that each call takes, at most `tile`, and its memory for scores, [lanes of the keys,
    vectors of queries, 16]: mask, [queries, keys], is in it where it is given."""
    for first in range(0, vectors, tile):
        count = min(tile, vectors - first)
        scores = aligned((key_vectors * LANES, count, LANES))
        if mask is not None:
            rows = mask[first * LANES : (first + count) * LANES].reshape(count, LANES, -1)
            scores[first_lane : first_lane + mask.shape[1]] = rows.transpose(2, 0, 1)
        yield slice(first, first + count), scores
