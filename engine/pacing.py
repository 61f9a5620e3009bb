"""Keeping up: signing is slower than speech, so what cannot be signed in time is chosen, and said.

Enters: words that wait to be signed (`Unit`), the frame's time, how busy the hands are. Leaves: glosses to
sign now, the tempo to sign them at, and a `Fate` for each word that is not signed. No I/O, no clock, no
threads.

The policy, in this order, each step only where the one before does not suffice (docs/captions.md explains
it):

1. Faster: up to 1.5 times the chosen rate, and shorter holds and pauses, without a jerk (`pacing_tempo`).
2. Initials: a word spelled in full within the minute is signed by its first letter, or by as many as tell it
   from the others spelled in that minute (`pacing_memory`).
3. Left out: of the words that wait, those are kept that together tell the most and are all signed in time
   (`pacing_plan`). Function words and phrases said a moment ago go first. Negations, the word they negate,
   and numbers stay while anything else can go; a word whose negation was lost is lost with it.

Only words of live captions (`Caption.delay_ns`) are ever hurried or left out. Text that somebody typed is
not. While more is said than can be signed for long, a second of signing has a price, and cheap words wait a
moment for something better; in a pause of the speaker they are signed after all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.clock import NS_PER_S
from engine.pacing_config import REASONS, PacingConfig
from engine.pacing_demand import Demand
from engine.pacing_estimates import Estimates
from engine.pacing_memory import Memory
from engine.pacing_plan import Item, choose, in_time
from engine.pacing_tempo import MOST_BOOST, Tempo
from engine.pacing_unit import Fate, Numbered, Unit
from engine.signals import Gloss

_FORESIGHT_S = 4.0
"""Who knows what comes within so many seconds needs no price to wait for something better."""


@dataclass(slots=True)
class Release:
    """glosses: to be signed next. fates: what is not signed, and why. signed: the unit the glosses are of."""

    glosses: list[Numbered] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)


class Pacer:
    """See the module. seconds: of a gloss at rate 1, (moving, pausing after it), as the choreography knows
    it.
    """

    def __init__(
        self, seconds: Callable[[Gloss], tuple[float, float]], fps: float, config: PacingConfig | None = None
    ) -> None:
        self.config = config or PacingConfig()
        self.waiting: deque[Unit] = deque()
        self.tempo = Tempo(self.config.calm_s, self.config.hurried_s)
        self.estimates = Estimates(seconds, self.config)
        self._dt_s = 1 / fps
        self._memory = Memory(self.config.remembered_s)
        self._demand = Demand(self.config.demand_s)
        self._idle_s = 0.0
        self._last_live: deque[Unit] = deque(maxlen=4)

    @property
    def pending(self) -> int:
        """Glosses that wait here. May be asked from another thread, as `backlog_s` may."""
        return sum(len(unit.glosses) for unit in tuple(self.waiting))

    @property
    def active(self) -> bool:
        """Whether `step` has anything to do."""
        return bool(self.waiting) or not self.tempo.calm

    @property
    def price(self) -> float:
        """Bits a second of signing is worth just now; 0 while there is time for everything."""
        return self._demand.price

    def backlog_s(self, rate: float) -> float:
        """About how long what waits takes, were all of it signed."""
        waiting = tuple(self.waiting)
        return sum(self.estimates.length_s(unit, len(unit.glosses), rate, 0.0) for unit in waiting)

    def clear(self) -> list[Unit]:
        """Drop what waits, and give it back."""
        dropped = list(self.waiting)
        self.waiting.clear()
        self._last_live.clear()
        self._idle_s = 0.0
        return dropped

    def add(self, unit: Unit) -> None:
        """A word that is to be signed after those before it."""
        self.waiting.append(unit)

    def step(self, now_ns: int, *, busy: int, busy_s: float, rate: float) -> Release:
        """Once a frame. busy: glosses the hands still have to sign, which takes `busy_s`; rate: as chosen."""
        out = Release()
        for unit in self.waiting:
            if unit.arrived_ns is None and unit.handed:
                self._arrived(unit, now_ns, rate)
        while self.waiting and not self.waiting[0].live and self.waiting[0].ready:
            self._release(self.waiting[0], len(self.waiting[0].glosses), now_ns, out)
            busy, busy_s = busy + 1, busy_s + 1.0
        self.tempo.step(self._late_s(now_ns, busy_s, rate), self._dt_s)
        self._idle_s = 0.0 if busy else self._idle_s + self._dt_s
        if self.waiting and self.waiting[0].live and busy <= 1:
            self._decide(now_ns, busy_s, rate, out)
        return out

    # -- what comes ------------------------------------------------------------------------------

    def _arrived(self, unit: Unit, now_ns: int, rate: float) -> None:
        unit.arrived_ns = now_ns
        self.estimates.note(unit)
        if not unit.live:
            return
        self._pair(unit)
        if self._memory.hear(unit.key, now_ns):
            for said in (*list(self._last_live)[-2:], unit):
                said.repeated = said.repeated or not said.protected
        self._last_live.append(unit)
        seconds = self.estimates.length_s(unit, self._initials(unit, now_ns), rate * MOST_BOOST)
        self._demand.add(now_ns, seconds, self._value(unit), unit.protected)

    def _pair(self, unit: Unit) -> None:
        """Tie a content word to the negation before it, within the sentence and three words."""
        for before in reversed(list(self._last_live)[-3:]):
            if unit.begins_sentence or unit.worth.function or unit.caption_seq - before.caption_seq > 1:
                return
            if before.worth.negation:
                unit.pair = before
                return
            if before.begins_sentence or not before.worth.function:
                return

    def _value(self, unit: Unit) -> float:
        return unit.worth.bits * (0.1 if unit.repeated else 1.0)

    # -- what goes -------------------------------------------------------------------------------

    def _decide(self, now_ns: int, busy_s: float, rate: float, out: Release) -> None:
        units = self._horizon()
        if not units:
            return
        full = [len(unit.glosses) for unit in units]
        items = self._items(units, full, now_ns, rate)
        there_is_time = self._demand.price == 0 or self._idle_s >= self.config.patience_s
        alone = len(units) == 1 and busy_s < items[0].deadline_s and self._demand.quiet(now_ns)
        if there_is_time and (alone or in_time(items, busy_s)):
            self._begin(units, 0, full, now_ns, busy_s, rate, out)
            return
        short = [self._initials(unit, now_ns) for unit in units]
        items = self._items(units, short, now_ns, rate)
        if there_is_time and in_time(items, busy_s):
            self._begin(units, 0, short, now_ns, busy_s, rate, out)
            return
        chosen = self._choose(units, items, busy_s)
        if chosen:
            self._begin(units, chosen[0], short, now_ns, busy_s, rate, out)
        for unit, item in zip(units, items, strict=True):
            needs_s = 0.0 if len(self.waiting) == 1 and self._demand.quiet(now_ns) else item.last_s
            if self.waiting and unit is self.waiting[0] and busy_s + needs_s > item.deadline_s:
                self._leave_out(unit, now_ns, out)

    def _horizon(self) -> list[Unit]:
        units: list[Unit] = []
        for unit in self.waiting:
            if not unit.live or unit.arrived_ns is None or len(units) == self.config.horizon:
                break
            units.append(unit)
        return units

    def _choose(self, units: list[Unit], items: list[Item], busy_s: float) -> tuple[int, ...]:
        """The words to keep; a negated word only with its negation."""
        ahead_s = max((item.ready_s for item in items), default=0.0)
        price_now = self._demand.price if self._idle_s < self.config.patience_s else 0.0
        price = price_now * max(0.0, 1 - ahead_s / _FORESIGHT_S)
        place = {id(unit): i for i, unit in enumerate(units)}
        pairs = [(place.get(id(u.pair)), i) for i, u in enumerate(units) if u.pair is not None]
        forbidden = {
            i
            for i, unit in enumerate(units)
            if (unit.pair is not None and unit.pair.lost) or (price_now and unit.worth.function)
        }
        for _ in range(4):
            chosen = choose(items, busy_s, price, forbidden)
            torn = {
                i for both in pairs for i in both if None not in both and sum(k in chosen for k in both) == 1
            }
            if not torn:
                break
            forbidden |= {i for i in torn if i is not None}
        return tuple(i for i in chosen if i not in forbidden)

    def _begin(
        self,
        units: list[Unit],
        at: int,
        counts: list[int],
        now_ns: int,
        busy_s: float,
        rate: float,
        out: Release,
    ) -> None:
        """Sign a word, if it is due, and leave out those before it."""
        unit = units[at]
        if self.estimates.ready_ns(unit, counts[at], rate * MOST_BOOST) > now_ns + round(busy_s * NS_PER_S):
            return
        if not unit.ready:  # its recordings are still being loaded
            return
        for passed in units[:at]:
            self._leave_out(passed, now_ns, out)
        self._release(unit, counts[at], now_ns, out)

    def _release(self, unit: Unit, count: int, now_ns: int, out: Release) -> None:
        assert unit is self.waiting[0], "words are signed in the order of the text"
        self.waiting.popleft()
        kept, dropped = unit.glosses[:count], unit.glosses[count:]
        if unit.live and unit.spelled and not dropped:
            self._memory.spelled(unit.key, [gloss.label for _, gloss in kept], now_ns)
        if dropped:
            out.fates.append(
                Fate(
                    "abbreviated",
                    dropped[0][0],
                    dropped[-1][0],
                    unit.text,
                    unit.caption_seq,
                    dropped[0][1].start,
                    dropped[-1][1].end,
                    REASONS["initials"],
                    now_ns,
                )
            )
            unit.last = kept[-1][0]
        unit.glosses = kept
        out.glosses += _ended(kept)
        out.units.append(unit)

    def _leave_out(self, unit: Unit, now_ns: int, out: Release) -> None:
        assert unit is self.waiting[0], "words are left out in the order of the text"
        self.waiting.popleft()
        unit.lost = True
        config = self.config
        if unit.pair is not None and unit.pair.lost:
            why = "pair"
        elif unit.worth.function:
            why = "function"
        elif unit.repeated:
            why = "repeated"
        elif self.estimates.length_s(unit, len(unit.glosses) - 1, MOST_BOOST) > config.late_s:
            why = "long"
        elif (
            unit.arrived_ns is not None and self.estimates.deadline_ns(unit, in_grace=False) < unit.arrived_ns
        ):
            why = "late"
        else:
            why = "less"
        unit.glosses = []
        out.fates.append(unit.fate("omitted", now_ns, REASONS[why]))

    def _items(self, units: list[Unit], counts: list[int], now_ns: int, rate: float) -> list[Item]:
        fast = rate * MOST_BOOST
        return [
            Item(
                ready_s=max(0.0, (self.estimates.ready_ns(unit, count, fast) - now_ns) / NS_PER_S),
                deadline_s=(self.estimates.deadline_ns(unit) - now_ns) / NS_PER_S,
                length_s=self.estimates.length_s(unit, count, fast),
                last_s=self.estimates.length_s(unit, count - 1, fast),
                value=self._value(unit),
                protected=unit.protected,
            )
            for unit, count in zip(units, counts, strict=True)
        ]

    def _initials(self, unit: Unit, now_ns: int) -> int:
        """How many of a word's glosses are enough."""
        if not unit.spelled or unit.protected:
            return len(unit.glosses)
        return self._memory.initials(unit.key, now_ns) or len(unit.glosses)

    def _late_s(self, now_ns: int, busy_s: float, rate: float) -> float:
        """How late, at the present tempo, the latest of the waiting words would begin."""
        late_s, free_s = 0.0, busy_s
        rate *= self.tempo.boost
        for unit in self._horizon():
            begin_s = max(free_s, (unit.due_ns - now_ns) / NS_PER_S)
            late_s = max(late_s, begin_s - (unit.time_ns + (unit.delay_ns or 0) - now_ns) / NS_PER_S)
            free_s = begin_s + self.estimates.length_s(unit, len(unit.glosses), rate, self.tempo.brevity)
        return late_s


def _ended(glosses: list[Numbered]) -> list[Numbered]:
    """The last of them ends the word."""
    index, last = glosses[-1]
    return glosses if last.word_end else [*glosses[:-1], (index, replace(last, word_end=True))]
