"""What the stream needs of the engine: the shapes of a signer and of the thread that steps it.

Enters and leaves: nothing; these are protocols. Written down here, where they are used, so that channel,
pipeline and stage can be read (and tested) without the models behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from engine.pacing_unit import Fate
from engine.signals import Caption, Gloss, MotionFrame, Unseen
from renderer.base import PREFERRED, Policy, Renderer
from stream.config import SignerSettings


class SaidLike(Protocol):
    """The engine's answer to a caption: numbered glosses, and what could not be spelled."""

    @property
    def glosses(self) -> Sequence[tuple[int, Gloss]]: ...

    @property
    def unspellable(self) -> Sequence[object]: ...

    @property
    def omitted(self) -> Sequence[object]: ...


class SignerLike(Protocol):
    """One signer, owned by the inference thread: set its manner there; `pending` may be read anywhere."""

    rate: float
    left_handed: bool
    language: str

    @property
    def pending(self) -> int: ...

    @property
    def backlog_ms(self) -> float: ...

    def take_fates(self) -> list[Fate]:
        """What became of words since the last call: each that was promised is told once."""
        ...

    def recorded(self, gloss: Gloss) -> bool:
        """Whether motion is generated, but this gloss's comes from a recording."""
        ...

    @property
    def tempo(self) -> float:
        """How much faster than chosen it is signed just now, to keep up with live captions."""
        ...

    @property
    def skipped(self) -> tuple[tuple[int, str], ...]:
        """Glosses that could not be performed, and why: the latest few."""
        ...


class SchedulerLike(Protocol):
    """The inference thread: steps every signer at a steady pace and hands its frames on, on that thread."""

    def add(
        self,
        name: str,
        signer: Any,
        sink: Callable[[MotionFrame], None],
        watched: Callable[[], bool] | None = None,
        unseen: Callable[[Unseen], None] | None = None,
    ) -> None:
        """watched: whether anybody wants its frames; while nobody does it may be stepped less when it rests,
        and give its frames without their motion to `unseen`."""
        ...

    def remove(self, name: str) -> None: ...

    def say(self, name: str, caption: Caption) -> Future[Any]:
        """Have a caption signed; the future holds a `SaidLike`."""
        ...

    def interrupt(self, name: str) -> Future[None]: ...

    def call(self, action: Callable[[], None]) -> Future[None]:
        """Carry `action` out between two frames."""
        ...

    def stats(self) -> dict[str, object]: ...

    def close(self) -> None: ...


class LanguageLike(Protocol):
    @property
    def code(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def spoken(self) -> str: ...


@dataclass(frozen=True)
class Cast:
    """What signers can be made of: `signer` and `renderer` make one for given settings; `scheduler` steps.

    languages: by code. avatars: name to description. warm: a language is on air; its letters should be at
    hand (never blocks). warming: whether any are still being prepared.
    close: whoever made the cast calls it at the end, when no signer is left. renderer is called again when
    one has to be replaced, and for the spare that stands by. fallback: makes a quicker one, which draws
    while that one is late, hung or dead; without it the spare does (`stream.rendering`). preferred: when
    the first one is given up for the fallback.
    """

    languages: Mapping[str, LanguageLike]
    avatars: Mapping[str, str]
    scheduler: Callable[[], SchedulerLike]
    signer: Callable[[SignerSettings], SignerLike]
    renderer: Callable[[SignerSettings], Renderer]
    warm: Callable[[str], None] = lambda language: None
    warming: Callable[[], bool] = lambda: False
    close: Callable[[], None] = lambda: None
    fallback: Callable[[SignerSettings], Renderer] | None = None
    preferred: Policy = PREFERRED
