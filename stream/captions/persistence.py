"""An input that may fail and come back: opened again after growing waits, without end.

Enters: a way to open it. Leaves: its cues. Does not know inputs. What an input says again after it was opened
again has the same keys, so that the feed's numbering passes over it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from stream.captions.backoff import Backoff
from stream.captions.condition import Condition
from stream.captions.privacy import private_log
from stream.captions.timed_text import CaptionError, Cue

log = private_log(__name__)


async def persistent(
    open_cues: Callable[[], AsyncGenerator[Cue, None]], condition: Condition, longest_s: float
) -> AsyncGenerator[Cue, None]:
    """The cues, until the input ends by itself. What fails is logged and shown in `condition`."""
    backoff = Backoff(longest_s)
    while True:
        cues = open_cues()
        try:
            async for cue in cues:
                backoff.reset()
                condition.well()
                yield cue
            return
        except CaptionError as error:
            condition.fails(error)
            log.warning("captions: %s; trying again", error)
        except Exception as error:  # the input's boundary: what a stranger sends must not end the feed
            condition.fails(f"{type(error).__name__}: {error}")
            log.exception("captions: reading failed; trying again")
        finally:
            await cues.aclose()
        await backoff.wait()
