"""The plain glosser: word for word, in the order of the text; what has no sign is spelled.

Enters: text in pieces. Leaves: `Glossed`. Does not know motion, nor the grammar of any language beyond
`rules`.

Word for word is not how signed languages are built, and nothing here claims so: the page says
machine-generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.glossing.glosser import Glossed, Omitted
from engine.glossing.lemmas import Lemmas
from engine.glossing.numbers import number_words, plain_digits, whole_numbers
from engine.glossing.rules import OMISSIONS, apart, is_article, may_be_article, read_symbols
from engine.glossing.spelling import Speller
from engine.glossing.tokens import Token, TokenState, push
from engine.lexicon import Lexicon
from engine.lexicon.languages import LANGUAGES
from engine.lexicon.shelf import sign_key

_NO_WORDS = "no words for numbers are known in this language"
NO_SYMBOL = "a symbol, with neither a sign nor letters"


@dataclass(slots=True)
class GlossState:
    """One caption under way. waiting: words that may yet begin a sign for several words."""

    language: str
    tokens: TokenState = field(default_factory=TokenState)
    waiting: list[Token] = field(default_factory=list)


class PlainGlosser:
    """Looks words up in a lexicon (as written, lemma, backup language), else spells them.

    omit: leave out what `rules.OMISSIONS` names, unless the lexicon has a sign for it. Loads the lemmas
    of the languages that have signs, here and not in `open`. Thread-safe: all state is in `GlossState`.
    """

    def __init__(self, lexicon: Lexicon, *, omit: bool = True) -> None:
        self._lexicon = lexicon
        self._omit = omit
        signed = [code for code in (*lexicon.languages(), *LANGUAGES) if lexicon.has_signs(code)]
        spoken = {lexicon.spoken(code) for code in signed}
        lemmas = {code: Lemmas(code) for code in sorted(spoken)}
        self._lemmas = {code: lemmas[lexicon.spoken(code)] for code in signed}

    def open(self, language: str) -> GlossState:
        if not self._lexicon.knows(language):
            raise ValueError(
                f"glossing: no recordings in {language!r}; expected one of "
                f"{', '.join(self._lexicon.languages())}, "
                "or add a lexicon (--lexicon) that has it"
            )
        return GlossState(language)

    def push(self, text: str, state: GlossState, final: bool = True) -> Glossed:
        out = Glossed()
        tokens = push(text, state.tokens, final)
        for token in whole_numbers(tokens, self._lexicon.spoken(state.language)):
            if token.first:
                self._commit(state, out, ended=True, behind=token if token.opened else None)
            state.waiting.append(token)
            self._commit(state, out, ended=False)
        self._commit(state, out, ended=final or state.tokens.paused)
        if final:
            state.tokens = TokenState()
        return out

    def _commit(self, state: GlossState, out: Glossed, *, ended: bool, behind: Token | None = None) -> None:
        """Sign what waits, the longest sign first, and keep what may yet become longer (unless it has
        ended). behind: a quote or bracket is opened behind what waits, and this is in it.
        """
        waiting = state.waiting
        phrases = self._lexicon.phrases(state.language)
        while waiting:
            clip, size, open_ended = None, 1, True
            key = ""
            for i, token in enumerate(waiting):
                key += sign_key(token.text, self._lexicon.spoken(state.language))
                if i and key in phrases and (found := self._lexicon.sign(key, state.language)):
                    clip, size = found, i + 1
                key += " "
                if key not in phrases:
                    open_ended = False
                    break
            if not ended and (
                open_ended or (len(waiting) == 1 and self._may_be_article(waiting[0], state.language))
            ):
                return
            taken, state.waiting = waiting[:size], waiting[size:]
            waiting = state.waiting
            if clip is not None:
                Speller(self._lexicon, state.language, out).sign(clip, taken[0].start, taken[-1].end)
            else:
                self._gloss(taken[0], waiting[0] if waiting else behind, state.language, out)

    def _gloss(self, token: Token, following: Token | None, language: str, out: Glossed) -> None:
        speller = Speller(self._lexicon, language, out)
        if token.kind == "number":
            self._number(token, language, speller)
        elif token.kind == "symbol":
            if not self._sign(token.text, token, speller):
                self._symbols(token, speller)
        else:
            reason = OMISSIONS.get(language, {}).get(token.text.lower()) if self._omit else None
            if reason and may_be_article(token.text, language):
                after = following.text if following else None
                reason = reason if is_article(token.text, after, first=token.first) else None
            parts = apart(token.text, self._lexicon.spoken(language))
            if self._sign(token.text, token, speller):
                return
            if reason and not token.glued:
                out.omitted.append(Omitted(token.text, token.start, token.end, reason))
            elif len(parts) > 1 and all(
                self._lexicon.sign_of(self._forms(p, language), language) for p in parts
            ):
                self._say(parts, token, speller)
            else:
                speller.spell(token.text, token.start)

    def _symbols(self, token: Token, speller: Speller) -> None:
        for text, at, words in read_symbols(token.text, self._lexicon.spoken(speller.language)):
            start = token.start + at
            part = replace(token, text=text, start=start, end=start + len(text))
            self._say(words, part, speller, reason=NO_SYMBOL)

    def _may_be_article(self, token: Token, language: str) -> bool:
        if not self._omit or token.glued or not may_be_article(token.text, language):
            return False
        return self._lexicon.sign_of(self._forms(token.text, language), language) is None

    def _number(self, token: Token, language: str, speller: Speller) -> None:
        if self._sign(token.text, token, speller):
            return
        digits = plain_digits(token.text)
        clips = [self._lexicon.sign(d, language) or self._lexicon.letter(d, language) for d in digits]
        if all(clips):
            for i, clip in enumerate(clips):
                assert clip is not None
                speller.letter(clip, token.start, token.end, word_end=i == len(clips) - 1)
        else:
            self._say(
                number_words(token.text, self._lexicon.spoken(language)), token, speller, reason=_NO_WORDS
            )

    def _say(self, words: Sequence[str], token: Token, speller: Speller, reason: str = "") -> None:
        """Words that stand for a token: all of them get its place."""
        if not words:
            speller.give_up(token.text, token.start, token.end, reason)
        for word in words:
            if not self._sign(word, token, speller):
                speller.spell(word, token.start, token.end)

    def _sign(self, word: str, token: Token, speller: Speller) -> bool:
        clip = self._lexicon.sign_of(self._forms(word, speller.language), speller.language)
        if clip is not None:
            speller.sign(clip, token.start, token.end)
        return clip is not None

    def _forms(self, word: str, language: str) -> list[str]:
        lemmas = self._lemmas.get(language)
        return lemmas.forms(word) if lemmas else [word]
