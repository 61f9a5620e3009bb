"""Words that say "not", by spoken language: what must never get lost on the way to a sign.

Enters: a spoken language. Leaves: its negations. Does not know signs, models or time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

NEGATIONS: Final[dict[str, str]] = {
    "ar": "لا لم لن ليس ليست بدون غير",
    "cs": "ne není nejsou nikdy nikdo nic žádný žádná žádné bez ani",
    "de": "nicht kein keine keinen keinem keiner keines keins keinerlei nein nie "
    "niemals niemand nichts nirgends nirgendwo keineswegs keinesfalls weder ohne minus",
    "el": "δεν μην όχι ποτέ κανείς τίποτα χωρίς ούτε",
    "en": "not no never none nobody nothing nowhere neither nor without cannot minus",
    "es": "no nunca jamás nada nadie ningún ninguno ninguna sin ni tampoco menos",
    "et": "ei ära mitte keegi ilma",
    "fr": "ne pas non jamais rien personne aucun aucune sans ni moins",
    "hr": "ne nije nisu nikad nitko ništa nema bez ni",
    "it": "non no mai niente nulla nessun nessuno nessuna senza né meno",
    "lt": "ne nėra niekada niekas nieko be nei",
    "pt": "não nunca nada ninguém nenhum nenhuma sem nem menos",
    "sk": "nie nikdy nikto nič žiadny žiadna žiadne bez ani",
    "sv": "inte ej aldrig ingen inget inga ingenting utan minus",
    "tr": "değil yok hayır hiç asla hiçbir",
    "uk": "не ні немає ніколи ніхто нічого без",
}


@lru_cache(maxsize=32)
def negations(spoken: str) -> frozenset[str]:
    return frozenset(NEGATIONS.get(spoken, "").split())
