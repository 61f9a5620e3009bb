"""A co-generation model as it is kept: the network, the words it knows, and the figures that normalise
motion.

Enters: a folder (see `engine.checkpoint`), or the parts. Leaves: `CogenerationModel`. Does not know signers.

A word is a language and a label: `ase/A`. The folder's `config.json` names its kind and version; what was
made by another version is refused with the remedy, never half understood.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.checkpoint import open_checkpoint, save_checkpoint
from engine.features import MODALITIES, SLICES, WIDTH, Normaliser
from engine.nn.cogeneration import BLANK, SPECIALS, STREAMS, CogenerationConfig, Cogenerator
from engine.signals import FloatArray, Gloss

KIND, VERSION = "cogeneration", 1
DEFAULT = Path(__file__).parent.parent / "models" / "cogeneration"
"""The model that is shipped."""


class Channels:
    """Between vectors [..., 694] and what the network takes: [3, ..., C] normalised, only what moves."""

    def __init__(self, normaliser: Normaliser) -> None:
        self.normaliser = normaliser
        moving = normaliser.moving
        self.indices = [np.flatnonzero(moving[SLICES[name]]) + SLICES[name].start for name in MODALITIES]
        pose, hands, smplx = (len(index) for index in self.indices)
        self.counts = (pose, hands, smplx)
        if min(self.counts) < 1:
            raise ValueError(
                f"cogeneration: got {self.counts} moving channels, expected some in each modality"
            )
        self.widest = max(self.counts)
        self._place = np.full((STREAMS, self.widest), WIDTH)
        for place, index in zip(self._place, self.indices, strict=True):
            place[: len(index)] = index
        self._inverse = np.zeros(WIDTH, np.int64)
        for stream, index in enumerate(self.indices):
            self._inverse[index] = stream * self.widest + np.arange(len(index))
        self.used = self._place < WIDTH
        """[3, C]: which are channels, and which only pad."""

    def narrow(self, vectors: FloatArray) -> FloatArray:
        """[..., 694] -> [3, ..., C], normalised."""
        normal = self.normaliser.apply(vectors)
        padded = np.concatenate([normal, np.zeros((*normal.shape[:-1], 1), np.float32)], -1)
        return np.ascontiguousarray(np.moveaxis(padded[..., self._place], -2, 0), dtype=np.float32)

    def widen(self, frames: FloatArray) -> FloatArray:
        """The inverse of `narrow`; channels that never move come out at their mean."""
        flat = np.moveaxis(frames, 0, -2).reshape(*frames.shape[1:-1], STREAMS * self.widest)
        return self.normaliser.undo(flat[..., self._inverse] * self.normaliser.moving)


class CogenerationModel:
    """See the module. words: in the order of their tokens, after the special ones. fps: of the motion
    learned. letters: the words are letters of alphabets, and no signs. about: whatever else is
    told of it; `steps_aside`: it has learned to, between doubled letters."""

    def __init__(
        self, network: Cogenerator, words: Sequence[str], languages: Sequence[str], normaliser: Normaliser,
        fps: float = 25.0, letters: bool = True, about: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.network = network.eval()
        self.words, self.languages = tuple(words), tuple(languages)
        self.channels = Channels(normaliser)
        self.fps = float(fps)
        self.letters = bool(letters)
        self.about = dict(about or {})
        self._tokens = {word: number for number, word in enumerate(self.words, SPECIALS)}
        self._languages = {language: number for number, language in enumerate(self.languages)}
        c = network.config
        if c.tokens != SPECIALS + len(self.words) or c.languages != len(self.languages):
            raise ValueError(
                f"cogeneration: got {len(self.words)} words and {len(self.languages)} languages for a "
                f"network of {c.tokens - SPECIALS} and {c.languages}"
            )
        if c.channels != self.channels.counts:
            raise ValueError(
                f"cogeneration: got figures of {self.channels.counts} moving channels for a network of "
                f"{c.channels}"
            )
        if not 10 <= self.fps <= 120:
            raise ValueError(f"cogeneration: got {fps} frames a second, expected 10 to 120")

    def token(self, gloss: Gloss) -> int | None:
        """The token of a gloss; None where the model does not know it. A model of letters does not take the
        sign I for the letter."""
        if self.letters and not gloss.spelled:
            return None
        return self._tokens.get(f"{gloss.language}/{gloss.label}")

    def token_of(self, language: str, label: str) -> int:
        """As `token`, of a word known to be known."""
        return self._tokens[f"{language}/{label}"]

    def language(self, code: str) -> int:
        """The number of a language; 0 for others."""
        return self._languages.get(code, 0)

    def labels(self, language: str) -> tuple[str, ...]:
        """What the model knows in a language."""
        return tuple(word.partition("/")[2] for word in self.words if word.startswith(f"{language}/"))

    @property
    def steps_aside(self) -> bool:
        """Whether it moves the hand aside between doubled letters by itself."""
        return bool(self.about.get("steps_aside", False))

    @staticmethod
    def blank() -> int:
        return BLANK

    # -- keeping -------------------------------------------------------------------------------

    def save(self, folder: Path, *, half: bool = True, **about: Any) -> Path:
        """Write the model; half: weights as float16 (figures of normalisation stay float32)."""
        kind = torch.float16 if half else torch.float32
        tensors: dict[str, Tensor] = {f"net.{n}": t.to(kind) for n, t in self.network.state_dict().items()}
        tensors |= self.channels.normaliser.tensors()
        config = {
            "kind": KIND,
            "version": VERSION,
            "network": dataclasses.asdict(self.network.config),
            "words": list(self.words),
            "languages": list(self.languages),
            "fps": self.fps,
            "letters": self.letters,
            **self.about,
            **about,
        }
        return save_checkpoint(folder, tensors, config)

    @classmethod
    def open(cls, folder: Path | None = None) -> CogenerationModel:
        """The model of a folder (None: the one that is shipped). Raises ValueError, with the remedy."""
        folder = folder or DEFAULT
        tensors, config = open_checkpoint(folder)
        if config.get("kind") != KIND or config.get("version") != VERSION:
            raise ValueError(
                f"{folder}: holds a model of kind {config.get('kind')!r}, version {config.get('version')!r}; "
                f"expected {KIND!r}, version {VERSION}. Train it anew with `handstream train cogeneration`"
            )
        known = {"network", "words", "languages", "fps", "letters"}
        try:
            network = Cogenerator(CogenerationConfig(**config["network"]))
            weights = {n.removeprefix("net."): t.float() for n, t in tensors.items() if n.startswith("net.")}
            network.load_state_dict(weights)
            normaliser = Normaliser.of(tensors)
            about = {
                k: v for k, v in config.items() if k not in known | {"kind", "version", "weights", "sha256"}
            }
            sizes = (config["fps"], config.get("letters", True))
            return cls(network, config["words"], config["languages"], normaliser, *sizes, about)
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{folder}: its configuration and its weights do not fit together ({error}); copy the whole "
                "folder again, or train the model anew"
            ) from error
