"""The forms under which a word may be found in a lexicon: as written, then its lemma.

Enters: a word. Leaves: forms, most faithful first. Does not know lexicons.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from engine.glossing.rules import BARE_NEGATIONS, without_s
from engine.lexicon.letters import APOSTROPHES

_CODES: Final = {"hr": "hbs"}
_loading = threading.Lock()


class Lemmas:
    """simplemma for one spoken language; loaded here (0.2 to 3 s, up to 120 MB), so make it before it is
    needed.

    A language simplemma does not know has no lemmas.
    """

    def __init__(self, spoken: str) -> None:
        import simplemma  # only where there are signs to be found by lemma: its dictionaries are large

        self._spoken = spoken
        self._code = _CODES.get(spoken, spoken)
        self._lemmatizer: Any = simplemma.Lemmatizer(cache_max_size=4096)
        try:
            with _loading:
                self._lemmatizer.lemmatize("a", lang=self._code)
        except ValueError:
            self._lemmatizer = None

    def forms(self, word: str) -> list[str]:
        """[word, lemma, ...]. A contraction has no lemma: `don't` and `dont` must not become `do`.

        But mother's is found under mother, and geht's under gehen.
        """
        forms = [word]
        if self._lemmatizer is None or not word:
            return forms
        if any(mark in word for mark in APOSTROPHES):
            owner = without_s(word, self._spoken)
            return [word, *self.forms(owner)] if owner else forms
        if self._spoken == "en" and word.lower() in BARE_NEGATIONS:
            return forms
        tries = [word, word.lower()]
        if self._spoken == "de":  # nouns are known with a capital
            tries.append(word.capitalize())
        for form in tries:
            lemma = self._lemmatizer.lemmatize(form, lang=self._code)
            if lemma not in forms:
                forms.append(lemma)
        return forms
