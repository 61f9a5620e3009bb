"""The signed languages we know by name, the spoken language each is glossed from, and who backs up whom.

Enters: an ISO 639-3 code of a signed language. Leaves: `LanguageInfo`. Does not know recordings.

A lexicon may hold other languages too: they are listed under their code, with the spoken language its
index names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Direction = Literal["ltr", "rtl"]


@dataclass(frozen=True, slots=True)
class LanguageInfo:
    """code: ISO 639-3 of the signed language; name: in English; native: as its signers' country writes it.

    spoken: ISO 639-1 of the spoken language captions are in; direction: of that language's script.
    """

    code: str
    name: str
    spoken: str
    native: str = ""
    direction: Direction = "ltr"


LANGUAGES: Final[dict[str, LanguageInfo]] = {
    info.code: info
    for info in (
        LanguageInfo("ase", "American Sign Language", "en", "American Sign Language"),
        LanguageInfo("asq", "Austrian Sign Language", "de", "Österreichische Gebärdensprache"),
        LanguageInfo("bzs", "Brazilian Sign Language", "pt", "Língua Brasileira de Sinais"),
        LanguageInfo("cse", "Czech Sign Language", "cs", "Český znakový jazyk"),
        LanguageInfo("csq", "Croatian Sign Language", "hr", "Hrvatski znakovni jezik"),
        LanguageInfo("eso", "Estonian Sign Language", "et", "Eesti viipekeel"),
        LanguageInfo("fsl", "French Sign Language (American letters)", "fr", "Langue des signes française"),
        LanguageInfo("gsg", "German Sign Language", "de", "Deutsche Gebärdensprache"),
        LanguageInfo("gss", "Greek Sign Language", "el", "Ελληνική νοηματική γλώσσα"),
        LanguageInfo("ise", "Italian Sign Language", "it", "Lingua dei segni italiana"),
        LanguageInfo("jos", "Jordanian Sign Language", "ar", "لغة الإشارة الأردنية", "rtl"),
        LanguageInfo("lls", "Lithuanian Sign Language", "lt", "Lietuvių gestų kalba"),
        LanguageInfo("mfs", "Mexican Sign Language", "es", "Lengua de señas mexicana"),
        LanguageInfo("psr", "Portuguese Sign Language", "pt", "Língua gestual portuguesa"),
        LanguageInfo("sgg", "Swiss German Sign Language", "de", "Deutschschweizer Gebärdensprache"),
        LanguageInfo("slf", "Swiss Italian Sign Language", "it", "Lingua dei segni della Svizzera italiana"),
        LanguageInfo("ssp", "Spanish Sign Language", "es", "Lengua de signos española"),
        LanguageInfo("ssr", "Swiss French Sign Language", "fr", "Langue des signes suisse romande"),
        LanguageInfo("svk", "Slovak Sign Language", "sk", "Slovenský posunkový jazyk"),
        LanguageInfo("swl", "Swedish Sign Language", "sv", "Svenskt teckenspråk"),
        LanguageInfo("tsm", "Turkish Sign Language", "tr", "Türk işaret dili"),
        LanguageInfo("ukl", "Ukrainian Sign Language", "uk", "Українська жестова мова"),
    )
}

BACKUPS: Final = {"slf": "ise", "ssr": "fsl"}
"""Where a language has no recording of its own, a close relative's is signed (as in `spoken-to-signed`)."""


def language_info(code: str) -> LanguageInfo:
    """What we know of a signed language; one we have never heard of is named by its code."""
    return LANGUAGES.get(code) or LanguageInfo(code, code, "und", code)


def backup_chain(code: str) -> tuple[str, ...]:
    """The language itself, then who backs it up, in order."""
    chain = [code]
    while chain[-1] in BACKUPS and BACKUPS[chain[-1]] not in chain:
        chain.append(BACKUPS[chain[-1]])
    return tuple(chain)
