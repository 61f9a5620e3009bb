"""Live captions in: every input behind one interface, and the words to sign, each once.

Enters: files, playlists, sockets and requests with captions. Leaves: `TimedText` (`open_captions`, `routes`),
`Commit`s (`commits`). Does not know glosses, motion or pictures. See docs/captions.md.
"""

from stream.captions.changes import REASONS, Change
from stream.captions.commits import commits
from stream.captions.condition import Condition
from stream.captions.feed import Feed, FeedClosed, FeedFull
from stream.captions.limits import Limits
from stream.captions.live_text import LiveText
from stream.captions.opening import may_come_back, open_captions
from stream.captions.privacy import private_log, redact
from stream.captions.reviser import Commit, Reviser, ReviserConfig
from stream.captions.routes import routes
from stream.captions.timed_text import CaptionError, CaptionSource, Cue, TimedText
from stream.captions.timeline import Timeline

__all__ = [
    "REASONS",
    "CaptionError",
    "CaptionSource",
    "Change",
    "Commit",
    "Condition",
    "Cue",
    "Feed",
    "FeedClosed",
    "FeedFull",
    "Limits",
    "LiveText",
    "Reviser",
    "ReviserConfig",
    "TimedText",
    "Timeline",
    "commits",
    "may_come_back",
    "open_captions",
    "private_log",
    "redact",
    "routes",
]
