"""The learned glosser in the engine: text in pieces in, signs of a lexicon out, in signing order.

Enters: text as it arrives. Leaves: `Glossed`; nothing that was said is taken back. Does not know how
the model decides or when a gloss is certain (`slul_stream`). A language the model was not trained on is
left to the plain glosser.

A gloss is a label of the corpus. The lexicon may hold its sign; a spelled one (`U+L+M`) and one without a
recording are spelled; a pointing sign without a recording is left out, and said to be.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.glossing.glosser import Glossed, Omitted, Unspellable
from engine.glossing.negations import negations
from engine.glossing.plain import NO_SYMBOL, GlossState, PlainGlosser
from engine.glossing.rules import read_symbols
from engine.glossing.slul_model import SlulModel, spoken_language
from engine.glossing.slul_stream import Policy, SentenceState, read_on, read_out
from engine.glossing.slul_text import LONGEST, Word, ends_sentence, words_of
from engine.glossing.slul_vocabulary import SEATS
from engine.glossing.spelling import Speller
from engine.glossing.tokens import Token, TokenState, push
from engine.lexicon import Lexicon

log = logging.getLogger(__name__)

_POINTING = frozenset({"IX", "INDEX"})


@dataclass(slots=True)
class SlulState:
    """One caption under way: words of the sentence being read, which of them are names, what was said of it.

    tail: the characters since `tail_at`, and last: the token before them, kept to see whether a sentence
    ended. cased: whether a capital was seen. plain: set instead where the language is left to the plain
    glosser.
    """

    language: str
    plain: GlossState | None = None
    tokens: TokenState = field(default_factory=TokenState)
    words: list[Word] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    sentence: SentenceState = field(default_factory=SentenceState)
    tail: str = ""
    tail_at: int = 0
    seen: int = 0
    cased: bool = False
    last: Token | None = None


class SlulGlosser:
    """Glosses with a model, signs from a lexicon. Thread-safe: all state is in `SlulState`."""

    def __init__(self, lexicon: Lexicon, model: SlulModel, policy: Policy | None = None) -> None:
        self._lexicon, self._model, self._policy = lexicon, model, policy or Policy()
        self._plain = PlainGlosser(lexicon)
        self._told: set[str] = set()

    def open(self, language: str) -> SlulState:
        """A new caption. Raises ValueError for a language without any recordings."""
        plain = self._plain.open(language)
        if language in self._model.vocabulary.languages:
            return SlulState(language)
        if language not in self._told:
            self._told.add(language)
            log.warning(
                "the glosser model knows %s, not %s: captions in it are glossed word for word",
                ", ".join(self._model.vocabulary.languages),
                language,
            )
        return SlulState(language, plain)

    def push(self, text: str, state: SlulState, final: bool = True) -> Glossed:
        """See `Glosser.push`. The same glosses however the text is cut, for words are read one by one."""
        if state.plain is not None:
            return self._plain.push(text, state.plain, final)
        out = Glossed()
        state.tail += text
        for token in push(text, state.tokens, final):
            self._read(token, state, out)
        if final:
            self._finish(state, out)
            state.tokens = TokenState()
            state.tail, state.tail_at, state.seen, state.cased = "", 0, 0, False
            state.last = None
        return out

    def _read(self, token: Token, state: SlulState, out: Glossed) -> None:
        between = state.tail[state.seen - state.tail_at : token.start - state.tail_at]
        if token.first and ends_sentence(state.last, between, token):
            self._finish(state, out)
        state.tail, state.tail_at, state.seen = state.tail[token.end - state.tail_at :], token.end, token.end
        state.last = token
        spoken = spoken_language(state.language)
        if token.kind == "symbol":
            for symbol, at, words in read_symbols(token.text, spoken):
                start = token.start + at
                if not words:
                    out.unspellable.append(Unspellable(symbol, start, start + len(symbol), NO_SYMBOL))
        for word in words_of(token, spoken):
            state.cased |= word.capital
            name = self._model.is_name(word, state.cased)
            different = {state.words[at].text for at in state.names}
            if len(state.words) >= LONGEST or (name and len(different | {word.text}) > SEATS):
                self._finish(state, out)
            if name:
                state.names.append(len(state.words))
            state.words.append(word)
            self._say(state, out, final=False)

    def _finish(self, state: SlulState, out: Glossed) -> None:
        """The sentence is complete: say the rest of it."""
        if state.words:
            self._say(state, out, final=True)
            self._own_up(state, out)
        state.words, state.names, state.sentence = [], [], SentenceState()

    def _own_up(self, state: SlulState, out: Glossed) -> None:
        """Tell where the text says "not" and no gloss of the sentence does: it may mean the opposite."""
        denying = negations(spoken_language(state.language))
        denied = [word for word in state.words if word.text in denying]
        labels = self._model.vocabulary.glosses(state.sentence.said)
        if denied and not any(_denies(label, denying) for label in labels):
            reason = "the glosser model found no sign for it: the sentence may mean the opposite"
            out.omitted.extend(Omitted(word.text, word.start, word.end, reason) for word in denied)

    def _say(self, state: SlulState, out: Glossed, *, final: bool) -> None:
        encoded = self._model.encode(state.words, state.language, state.names)
        if final:
            certain = read_out(self._model, encoded, state.sentence, self._policy)
        else:
            (certain,) = read_on(self._model, [encoded], [state.sentence], self._policy)
        for token, place in certain:
            for label in self._model.vocabulary.glosses([token], encoded.names):
                name = self._model.vocabulary.name_of(token, encoded.names)
                source = next((w for w in state.words if w.text == name), state.words[place])
                self._sign(label, source, state.language, out, name)

    def _sign(self, label: str, source: Word, language: str, out: Glossed, name: str | None) -> None:
        speller = Speller(self._lexicon, language, out)
        place = (source.start, source.end)
        clip = self._lexicon.sign_of((name,) if name else _forms(label), language)
        negated = label.removeprefix("negalp-").removeprefix("neg-")
        if clip is not None:
            speller.sign(clip, *place)
        elif name is None and negated != label:  # its own sign is missing, but the "not" must not get lost
            self._sign(negated, source, language, out, None)
            self._sign("NICHT", source, language, out, None)
        elif label in _POINTING:
            out.omitted.append(Omitted(label, *place, "the lexicon holds no pointing sign"))
        else:
            speller.spell(name or label.removeprefix("poss-").replace("+", ""), *place)


def _denies(label: str, denying: frozenset[str]) -> bool:
    """Whether a gloss says "not": `neg-HABEN`, `NICHT`, `KEIN`, `WENIGER-NULL`."""
    return label.startswith("neg") or not denying.isdisjoint(label.lower().split("-")) or "NULL" in label


def _forms(label: str) -> Sequence[str]:
    """How a lexicon may have filed a gloss: as it is, without its kind, with umlauts."""
    bare = label.removeprefix("poss-")
    umlauts = bare.replace("AE", "Ä").replace("OE", "Ö").replace("UE", "Ü")
    return tuple(dict.fromkeys((label, bare, umlauts)))


def open_glosser(
    lexicon: Lexicon, folder: Path | None, policy: Policy | None = None
) -> SlulGlosser | PlainGlosser:
    """The learned glosser of a model folder, or, with a warning that says why, the plain one."""
    if folder is None:
        log.warning("no glosser model was given (--glosser-model): captions are glossed word for word")
        return PlainGlosser(lexicon)
    try:
        return SlulGlosser(lexicon, SlulModel.open(folder), policy)
    except ValueError as error:
        log.warning("%s; until then captions are glossed word for word", error)
        return PlainGlosser(lexicon)
