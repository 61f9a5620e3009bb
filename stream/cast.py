"""The real cast: recordings from the lexicons, the avatars or the video renderer.

Enters: a `Config`. Leaves: a `Cast`. Does not know threads or viewers. Lexicons are opened here, once, and
end with `Cast.close`; clips are prepared once for all signers.
"""

from __future__ import annotations

from engine.lexicon import Lexicon
from engine.lexicon.languages import language_info
from engine.scheduler import Scheduler
from engine.signer import Signer
from renderer.avatar import SIGNERS, AvatarConfig
from renderer.base import PREFERRED, VIDEO, Renderer
from stream.choreographies import choose_choreography
from stream.config import Config, SignerSettings
from stream.glossers import choose_glosser
from stream.label import Labelled
from stream.performer import Cast
from stream.renderers import choose_drawing
from stream.word_tables import WordTables


def default_cast(config: Config) -> Cast:
    """Open the lexicons and say what exists. Raises ValueError or OSError for a lexicon it cannot open."""
    lexicon = Lexicon.stack([*(Lexicon.open(path) for path in config.lexicons), Lexicon.default()])
    glosser = choose_glosser(config.glosser, config.glosser_model, lexicon)
    choreography = choose_choreography(
        config.choreography, config.choreography_model, lexicon, config.fps, config.choreography_speed
    )

    def signer(settings: SignerSettings) -> Signer:
        return Signer(
            lexicon,
            glosser,
            language=settings.language,
            fps=config.fps,
            rate=settings.rate,
            left_handed=settings.left_handed,
            choreography=choreography,
        )

    drawing = choose_drawing(config.video, live=True)
    words = WordTables()

    def look(settings: SignerSettings) -> AvatarConfig:
        return AvatarConfig(settings.avatar, config.width, config.height, settings.background)

    def warm(language: str) -> None:
        lexicon.warm(lexicon.alphabet(language).values())
        words.warm(language_info(language).spoken)

    def close() -> None:
        words.close()
        lexicon.close()

    def renderer(settings: SignerSettings) -> Renderer:
        drawn = drawing.first(look(settings))
        return drawn if drawing.below is None else Labelled(drawn)

    def below(settings: SignerSettings) -> Renderer:
        assert drawing.below is not None
        return Labelled(drawing.below(look(settings)))  # as the one above: the label does not come and go

    return Cast(
        languages={code: language_info(code) for code in lexicon.languages()},
        avatars={name: info.description for name, info in SIGNERS.items()},
        scheduler=lambda: Scheduler(config.fps).open(),
        signer=signer,
        renderer=renderer,
        warm=warm,
        warming=lambda: lexicon.warming or words.warming,
        close=close,
        fallback=below if drawing.below is not None else None,
        preferred=VIDEO if drawing.below is not None else PREFERRED,
    )
