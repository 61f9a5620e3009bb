"""The recogniser: motion back to glosses, for measuring generators that it has never seen.

Enters: motion features. Leaves: glosses. Trained on composed recordings only, never on what a generator made,
and with texts of another seed than generators are. Does not know generators, command lines or files of
corpora.

A stack of dilated convolutions and connectionist temporal classification (Graves et al. 2006). It looks at
about a second around each frame: enough for a moving letter, too little to learn words, so that it reads what
is signed and not what would be likely.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.checkpoint import open_checkpoint, save_checkpoint
from engine.signals import FloatArray, Motion
from trainer.recogniser_features import FEATURES, features
from trainer.recogniser_search import beam_search, greedy

KIND, VERSION = "handstream.recogniser", 1
BLANK = 0


@dataclass(frozen=True)
class RecogniserConfig:
    """Sizes. dilations: one residual block of two convolutions each; kernel: frames a convolution sees
    (odd).
    """

    width: int = 96
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width < 1 or self.kernel < 1 or self.kernel % 2 == 0 or not self.dilations:
            raise ValueError(
                f"RecogniserConfig: got width={self.width}, kernel={self.kernel}, "
                f"dilations={self.dilations}; "
                "expected a positive width, an odd kernel and at least one dilation"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"RecogniserConfig.dropout: got {self.dropout}, expected 0 <= dropout < 1")
        object.__setattr__(self, "dilations", tuple(self.dilations))


class _Block(nn.Module):
    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)  # of each frame alone: it knows nothing of padding
        self.wide = nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inner: Tensor = self.mix(
            functional.gelu(self.wide(self.norm(x.transpose(1, 2)).transpose(1, 2) * mask))
        )
        out: Tensor = (x + self.dropout(inner)) * mask
        return out


class Network(nn.Module):
    """Features [B, T, FEATURES] and lengths [B] -> log probabilities [B, T, tokens]."""

    def __init__(self, config: RecogniserConfig, tokens: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(FEATURES), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(FEATURES), requires_grad=False)
        self.enter = nn.Conv1d(2 * FEATURES, config.width, 1)
        self.blocks = nn.ModuleList(
            _Block(config.width, config.kernel, d, config.dropout) for d in config.dilations
        )
        self.leave = nn.Conv1d(config.width, tokens, 1)

    def forward(self, x: Tensor, lengths: Tensor, allowed: Tensor) -> Tensor:
        """allowed [B, tokens]: which tokens the row's language has."""
        x = (x - self.mean) / self.scale
        speed = functional.pad(x[:, 1:] - x[:, :-1], (0, 0, 1, 0))
        mask = (torch.arange(x.shape[1]) < lengths[:, None])[:, None].to(x)  # [B, 1, T]
        x = self.enter(torch.cat([x, 4 * speed], -1).transpose(1, 2)) * mask
        for block in self.blocks:
            x = block(x, mask)
        scores = self.leave(x).transpose(1, 2).masked_fill(~allowed[:, None], -1e4)
        out: Tensor = scores.log_softmax(-1)
        return out


class Recogniser:
    """A trained network with its glosses. `glosses` of each language; tokens number them all, 0 being
    none.
    """

    def __init__(
        self, network: Network, config: RecogniserConfig, glosses: dict[str, tuple[str, ...]], note: str = ""
    ) -> None:
        self.network, self.config, self.glosses, self.note = network, config, glosses, note
        self._first = dict(zip(glosses, np.cumsum([1, *map(len, glosses.values())]).tolist(), strict=False))

    @classmethod
    def new(cls, config: RecogniserConfig, glosses: dict[str, Sequence[str]]) -> Recogniser:
        known = {language: tuple(sorted(set(labels))) for language, labels in glosses.items()}
        return cls(Network(config, 1 + sum(map(len, known.values()))), config, known)

    @property
    def tokens(self) -> int:
        return 1 + sum(map(len, self.glosses.values()))

    def allowed(self, language: str) -> Tensor:
        """Tokens of a language, and none. Raises ValueError for a language it was not trained on."""
        if language not in self.glosses:
            raise ValueError(
                f"recogniser: got language {language!r}, expected one it was trained on: "
                f"{', '.join(self.glosses)}; "
                "train one with `handstream train recogniser --language ...`"
            )
        allowed = torch.zeros(self.tokens, dtype=torch.bool)
        allowed[BLANK] = True
        first = self._first[language]
        allowed[first : first + len(self.glosses[language])] = True
        return allowed

    def encode(self, glosses: Sequence[str], language: str) -> list[int]:
        """Tokens of glosses. Raises ValueError for one it has not learned."""
        self.allowed(language)
        first, known = self._first[language], self.glosses[language]
        unknown = set(glosses) - set(known)
        if unknown:
            raise ValueError(f"recogniser: {language} glosses {sorted(unknown)} were not in its training")
        return [first + known.index(gloss) for gloss in glosses]

    def decode(self, tokens: Sequence[int]) -> tuple[str, ...]:
        names = [gloss for labels in self.glosses.values() for gloss in labels]
        return tuple(names[token - 1] for token in tokens)

    @torch.inference_mode()
    def log_probabilities(self, seen: FloatArray, language: str) -> FloatArray:
        """[T, tokens] of one clip's features."""
        lengths = torch.tensor([len(seen)])
        out = self.network.eval()(torch.from_numpy(seen)[None], lengths, self.allowed(language)[None])
        result: FloatArray = out[0].numpy()
        return result

    def read(self, motion: Motion, language: str, *, source: str = "smplx", beam: int = 8) -> tuple[str, ...]:
        """Glosses signed in a clip. source: see `features`. beam 1: the best token of each frame."""
        scores = self.log_probabilities(features(motion, source), language)
        return self.decode(greedy(scores) if beam <= 1 else beam_search(scores, beam))

    def save(self, folder: Path) -> None:
        """A checkpoint with half-precision weights."""
        tensors = {name: value.half() for name, value in self.network.state_dict().items()}
        config = {
            "kind": KIND,
            "version": VERSION,
            "recogniser": dataclasses.asdict(self.config),
            "glosses": self.glosses,
            "note": self.note,
        }
        save_checkpoint(folder, tensors, config)

    @classmethod
    def load(cls, folder: Path) -> Recogniser:
        """Raises ValueError for a folder that is no recogniser of this version."""
        tensors, config = open_checkpoint(folder)
        if config.get("kind") != KIND or config.get("version") != VERSION:
            raise ValueError(
                f"{folder}: got {config.get('kind', 'another model')} version {config.get('version', '?')}, "
                "expected "
                f"{KIND} version {VERSION}; train one with `handstream train recogniser`"
            )
        made = cls.new(RecogniserConfig(**config["recogniser"]), config["glosses"])
        try:
            made.network.load_state_dict({name: value.float() for name, value in tensors.items()})
        except RuntimeError as error:
            raise ValueError(f"{folder}: weights do not fit their configuration ({error})") from error
        made.note = config.get("note", "")
        return made
