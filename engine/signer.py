"""One signer: text in, motion frames out; a state machine with no I/O, no threads and no clock.

Enters: `Caption`s (also piecewise), settings, interruptions. Leaves: a `MotionFrame` for every step. Does
not know who calls it when.

`say` = `understand` (text to numbered glosses; touches only what belongs to text) + `perform` (glosses to the
choreography). A scheduler may understand on another thread than it steps on; everybody else calls `say`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.choreography import LexiconChoreography
from engine.choreography.base import AnyChoreography, step_unseen
from engine.choreography.config import FASTEST
from engine.choreography.state import checked_rate
from engine.choreography.store import MotionSource
from engine.pacing_config import REASONS, PacingConfig
from engine.pacing_line import PacedLine
from engine.pacing_unit import Fate
from engine.signals import Caption, Gloss, MotionFrame, Unseen
from engine.signer_text import GlosserLike, Said, TextHalf, TextTooLong

__all__ = ["BacklogFull", "GlosserLike", "Said", "Signer", "SignerConfig", "TextTooLong"]

_GLOSS_S = 0.4


class BacklogFull(RuntimeError):
    """More text than can be signed soon. retry_after_s: when to try again."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class SignerConfig:
    """max_pending: glosses that may wait before `say` refuses (2000 letters are about ten minutes).
    max_text_chars: longest text of one `say`. max_glosses: most signs of one `say` (numbers grow when they
    are spelled out). remembered: glosses that `Signer.gloss` still knows."""

    max_pending: int = 2000
    max_text_chars: int = 4000
    max_glosses: int = 4000
    remembered: int = 8192

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"SignerConfig.{name}: got {getattr(self, name)}, expected at least 1")


class Signer:
    """See the module. Not thread-safe, but for `understand` beside `step`, and for reading `pending`."""

    def __init__(
        self,
        lexicon: MotionSource,
        glosser: GlosserLike,
        *,
        language: str,
        fps: float = 25.0,
        rate: float = 1.0,
        left_handed: bool = False,
        seed: int = 0,
        choreography: AnyChoreography | None = None,
        config: SignerConfig = SignerConfig(),
        pacing: PacingConfig | None = None,
    ) -> None:
        """language: of captions made without one (`Signer.language` may be set). choreography: shared
        between signers of one thread, or another kind; by default its own, from `lexicon`. pacing: how live
        captions keep up.
        """
        self.language = language
        self._glosser, self._config, self._seed = glosser, config, seed
        self.choreography: AnyChoreography = choreography or LexiconChoreography(lexicon, fps=fps)
        self._rate = checked_rate(rate)
        self._state = self.choreography.open(seed=seed, rate=self._rate, left_handed=left_handed)
        self._line = PacedLine(self.choreography, pacing)
        self._text = self._text_half()
        self._handed = 0

    # -- settings --------

    @property
    def fps(self) -> float:
        return self.choreography.fps

    @property
    def rate(self) -> float:
        """0.5..2, as chosen; a change is complete within 200 ms. Live captions may be signed faster:
        `tempo`.
        """
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate = checked_rate(rate)
        self._state.rate = min(self._rate * self.tempo, max(self._rate, FASTEST))

    @property
    def tempo(self) -> float:
        """1..1.5: how much faster than chosen it is signed just now, to keep up with live captions."""
        return self._line.pacer.tempo.boost

    @property
    def left_handed(self) -> bool:
        """Taken up with the next sign, or at once while at rest; either way smoothly."""
        return bool(self._state.left_handed)

    @left_handed.setter
    def left_handed(self, left_handed: bool) -> None:
        self._state.left_handed = bool(left_handed)

    # -- what is going on --------

    @property
    def pending(self) -> int:
        """Glosses understood and not yet signed."""
        return self._state.pending + self._line.pending + self._waiting

    @property
    def resting(self) -> bool:
        """Nothing to sign, and the hands lie still."""
        return self._state.resting and not self._line.pending and not self._waiting

    @property
    def backlog_ms(self) -> float:
        """About how long the pending glosses take."""
        waiting_s = self._line.pacer.backlog_s(self.rate) + _GLOSS_S * self._waiting / self.rate
        return self.choreography.backlog_ms(self._state) + 1000 * waiting_s

    def gloss(self, index: int) -> Gloss | None:
        """The gloss behind `MotionFrame.gloss`; None for -1 and for those long gone."""
        return self._text.gloss(index)

    def recorded(self, gloss: Gloss) -> bool:
        """Whether motion is generated, but this gloss's comes from a recording, unknown to the model."""
        recorded = getattr(self.choreography, "recorded", None)
        return bool(recorded is not None and recorded(gloss))

    @property
    def skipped(self) -> tuple[tuple[int, str], ...]:
        """Glosses that could not be performed, and why; the latest 64."""
        return tuple(self._state.skipped)

    def take_fates(self) -> list[Fate]:
        """What became of words since the last call: each that was promised is told once. The latest 8192."""
        return self._line.take_fates()

    # -- text --------

    def say(self, caption: Caption) -> Said:
        """Sign a caption, or a piece of one.

        A caption with `final=False` goes on with the next one of the same seq; its last word is signed when
        it is certain. Another seq or language ends the one before. Raises BacklogFull when too much is
        waiting, TextTooLong for a text of too many signs, ValueError for a language the glosser does not
        know; then nothing is signed.
        """
        said = self.understand(caption)
        self.perform(said.glosses)
        return said

    def flush(self) -> Said:
        """End of text: sign the last word of a piecewise caption."""
        said = self.finish()
        self.perform(said.glosses)
        return said

    def understand(self, caption: Caption) -> Said:
        """The text half of `say`. What it returns must be given to `perform` or to `skip`, once, in
        order.
        """
        self._admit(len(caption.text))
        return self._text.understand(caption, caption.language or self.language)

    def finish(self) -> Said:
        """The text half of `flush`."""
        return self._text.finish()

    def perform(self, glosses: Sequence[tuple[int, Gloss]]) -> None:
        """The motion half: sign what was understood."""
        if glosses:
            self._handed = glosses[-1][0] + 1
            at_once = self._line.hand(glosses)
            if at_once:
                self.choreography.append(at_once, self._state)

    def skip(self, index: int, reason: str) -> None:
        """Instead of `perform`: this gloss cannot be performed, and `skipped` says why."""
        self._handed = index + 1
        self._state.skipped.append((index, reason))
        self._line.skip(index)

    # -- motion --------

    def step(self, pts_ns: int) -> MotionFrame:
        """The next frame; always one, idle life when there is nothing to say."""
        self._line.step(self._state, pts_ns, self._rate)
        frame: MotionFrame = self.choreography.step(self._state, pts_ns)
        self._line.stepped(frame, self._state)
        return frame

    def step_unseen(self, pts_ns: int) -> Unseen:
        """The next frame where nobody looks: as `step`, without its motion. All that follows is the same."""
        self._line.step(self._state, pts_ns, self._rate)
        unseen = step_unseen(self.choreography, self._state, pts_ns)
        self._line.stepped(unseen, self._state)
        return unseen

    @staticmethod
    def together(signers: Sequence[Signer]) -> None:
        """Before each of them is stepped: those that share a choreography which can make the frames of
        several in one go (`together`) have it do so. Changes no frame; may be left out."""
        shared: dict[int, list[Signer]] = {}
        for signer in signers:
            shared.setdefault(id(signer.choreography), []).append(signer)
        for own in shared.values():
            prepare = getattr(own[0].choreography, "together", None)
            if prepare is not None and len(own) > 1:
                prepare([signer._state for signer in own])

    def interrupt(self) -> None:
        """Stop now: drop what is pending, also a half-heard caption; the next frame is on the way to rest."""
        self.forget()
        self.halt()

    def forget(self) -> None:
        """The text half of `interrupt`: what was understood and not performed is given up."""
        self._text.forget()
        self._line.forget()

    def halt(self) -> None:
        """The motion half of `interrupt`."""
        self._handed = self._text.next_index
        self._line.halt(REASONS["interrupted"])
        self.choreography.interrupt(self._state)

    def recover(self) -> None:
        """After a failed `step`: motion as new, at rest; numbering and captions go on."""
        self._handed = self._text.next_index
        self._line.halt(REASONS["failed"])
        self._state = self.choreography.open(seed=self._seed, rate=self.rate, left_handed=self.left_handed)

    def reset(self) -> None:
        """As new, with the same settings and seed: at rest, numbering from 0."""
        self._state = self.choreography.open(seed=self._seed, rate=self.rate, left_handed=self.left_handed)
        self._text = self._text_half()
        self._line.reset()
        self._handed = 0

    @property
    def _waiting(self) -> int:
        """Glosses understood and not yet performed: indices rise, so two marks suffice."""
        return max(0, self._text.next_index - max(self._handed, self._text.forgotten))

    # -- inside --------

    def _text_half(self) -> TextHalf:
        config = self._config
        return TextHalf(
            self._glosser,
            self._line.understood,
            max_glosses=config.max_glosses,
            remembered=config.remembered,
        )

    def _admit(self, characters: int) -> None:
        backlog_s = self.backlog_ms / 1000
        if characters > self._config.max_text_chars:
            raise BacklogFull(
                f"say: got {characters} characters, expected at most {self._config.max_text_chars} at once; "
                "send the text in pieces, as it is signed",
                max(1.0, backlog_s),
            )
        if self.pending and self.pending + characters > self._config.max_pending:
            raise BacklogFull(
                f"say: {self.pending} signs wait (about {backlog_s:.0f} s) and {characters} more would "
                f"pass the limit of {self._config.max_pending}; send them later, or interrupt",
                max(1.0, min(backlog_s, _GLOSS_S * characters)),
            )
