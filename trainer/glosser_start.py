"""A head start for the embeddings: words and glosses that occur in the same sentences start close together.

Enters: token numbers of the training pairs. Leaves: starting embeddings of source and target, in one space.
Does not know the model. Nothing but the training pairs is used.

Latent semantic analysis (Deerwester et al. 1990) over positive pointwise mutual information (Bullinaria &
Levy 2007) of sentence co-occurrence, pieces and glosses side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def common_space(
    rows: Sequence[tuple[Sequence[int], Sequence[int]]], source_tokens: int, target_tokens: int, width: int
) -> tuple[Tensor, Tensor]:
    """Unit-length embeddings [source_tokens, width] and [target_tokens, width]; zero where unseen."""
    size = source_tokens + target_tokens
    seen = np.zeros((len(rows), size), np.float32)
    for at, (source, target) in enumerate(rows):
        seen[at, list(source)] = 1
        seen[at, [source_tokens + token for token in target]] = 1
    together = seen.T @ seen  # [V, V]
    alone = np.diag(together).copy()
    expected = np.outer(alone, alone) / len(rows)
    told = np.log(np.maximum(together, 1e-9) / np.maximum(expected, 1e-9))
    told = np.where(together >= 2, np.maximum(told, 0), 0)  # positive, and not by a single chance
    values, vectors = np.linalg.eigh(told.astype(np.float64))
    kept = np.argsort(-values)[: min(width, size)]
    space = np.zeros((size, width))
    space[:, : len(kept)] = vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0))
    space /= np.maximum(np.linalg.norm(space, axis=1, keepdims=True), 1e-6)
    both = torch.from_numpy(space.astype(np.float32))
    return both[:source_tokens], both[source_tokens:]
