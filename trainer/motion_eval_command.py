"""`handstream eval cogeneration`: generated spelling of held-back words against composed recordings.

Enters: arguments. Leaves: a table, one JSON line last, and with --out plots as PNG. Does not know the
measures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.choreography.base import AnyChoreography
    from engine.lexicon import Lexicon
    from engine.signals import Gloss
    from trainer.motion_eval import Compared, LongStream
    from trainer.recogniser import Recogniser

RECOGNISER = Path(__file__).parent / "assets" / "recogniser"
"""The recogniser that is shipped."""
GOALS = {
    "letter_error_above_true": (None, 5.0),
    "path_length_ratio": (0.9, 1.1),
    "duration_ratio": (0.95, 1.05),
    "own_over_random": (None, 0.5),
    "longest_freeze_s": (None, 1.0),
}
"""Least and most of what a model must reach."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a model; default: the shipped one")
    parser.add_argument(
        "--choreography",
        default="cogeneration",
        choices=("cogeneration", "lexicon"),
        help="lexicon: the measure itself",
    )
    parser.add_argument("--corrector", type=Path, metavar="FOLDER", help="default: the shipped one")
    parser.add_argument("--no-corrector", action="store_true", help="what the model generates, uncorrected")
    parser.add_argument("--language", default="ase", help="signed language (default ase)")
    parser.add_argument("--words", type=int, default=200, help="held-back words to sign (default 200)")
    parser.add_argument("--rate", type=float, default=1.0, help="signing rate (default 1)")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of a long stream; 0: none")
    parser.add_argument("--streams", type=int, default=1, help="so many long streams (default 1)")
    parser.add_argument(
        "--recogniser",
        type=Path,
        default=RECOGNISER,
        metavar="FOLDER",
        help="the judge; default: the shipped one",
    )
    parser.add_argument(
        "--lexicon", type=Path, action="append", default=[], help="folder with index.csv (repeatable)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write plots and the figures here")
    parser.add_argument(
        "--losses", type=Path, metavar="log.csv", help="with --out: plot this training log too"
    )
    parser.add_argument("--threads", type=int, default=1, help="cores to use (default 1)")


def open_choreography(
    kind: str, model: Path | None, lexicon: Lexicon, corrector: Path | None = None, correct: bool = True
) -> AnyChoreography:
    """The choreography to measure. model, corrector None: what is shipped."""
    if kind == "lexicon":
        from engine.choreography import LexiconChoreography

        return LexiconChoreography(lexicon)
    from engine.choreography.cogeneration import CogenerationChoreography

    return CogenerationChoreography.load(model, lexicon, corrector=corrector, correct=correct)


def main(args: argparse.Namespace) -> int:
    """Generate, compare, print."""
    import torch

    from engine.lexicon import Lexicon
    from trainer.data.compositions import Composer, CompositionConfig
    from trainer.data.words import held_back_words
    from trainer.motion_eval import compare, figures, stream_figures
    from trainer.recogniser import Recogniser

    if args.words < 2 or args.minutes < 0 or args.streams < 1:
        raise ValueError(
            f"got --words {args.words} --minutes {args.minutes} --streams {args.streams}; expected at least "
            "2 words, no less than 0 minutes and at least one stream"
        )
    torch.set_num_threads(args.threads)
    recogniser = Recogniser.load(args.recogniser)
    recogniser.allowed(args.language)
    lexicon = Lexicon.stack([*(Lexicon.open(path) for path in args.lexicon), Lexicon.default()])
    try:
        choreography = open_choreography(
            args.choreography, args.model, lexicon, args.corrector, not args.no_corrector
        )
        composer = Composer(
            lexicon, CompositionConfig(language=args.language, rest_frames=1, fps=choreography.fps)
        )
        words = held_back_words(lexicon, args.language, args.words)
        compared = compare(choreography, composer, words, rate=args.rate)
        fallbacks = getattr(choreography, "fallbacks", None)
        if fallbacks:
            raise ValueError(
                f"the model does not know {', '.join(fallbacks)}: recordings would be measured instead; "
                "choose a "
                "language it was trained on"
            )
        found = figures(compared, recogniser, args.language)
        if args.minutes:
            texts = [composer.glosses(word) for word in words]
            window_s = min(60.0, 30 * args.minutes)
            run = (texts, args.minutes, args.streams, recogniser, args.language, window_s)
            found |= stream_figures(_streams(choreography, *run), window_s)
            if args.choreography != "lexicon":  # what the recordings' own streams come to, to compare with
                recorded = open_choreography("lexicon", None, lexicon)
                theirs = stream_figures(_streams(recorded, *run), window_s)
                found |= {f"true_{name}": value for name, value in theirs.items()}
    finally:
        lexicon.close()
    print(table(found))
    about = {
        "choreography": args.choreography,
        "model": str(args.model or "shipped"),
        "corrector": "none" if args.no_corrector else str(args.corrector or "shipped"),
        "language": args.language,
        "words": len(words),
        "fps": choreography.fps,
        "recogniser": recogniser.note,
    }
    record = json.dumps(about | {name: round(value, 4) for name, value in found.items()})
    if args.out:
        _write(args.out, record, compared, args.losses or _log_of(args.model))
    print(record)
    return 0


def _streams(
    choreography: AnyChoreography,
    texts: list[list[Gloss]],
    minutes: float,
    count: int,
    recogniser: Recogniser,
    language: str,
    window_s: float,
) -> list[LongStream]:
    """Each begins elsewhere among the texts, with a life of its own."""
    from trainer.motion_eval import measure_stream, perform_long

    streams = []
    for number in range(count):
        first = number * len(texts) // count
        order = texts[first:] + texts[:first]
        long = perform_long(choreography, order, minutes, seed=number)
        signed = [gloss for text in order for gloss in text]
        streams.append(measure_stream(long, signed, recogniser, language, window_s))
    return streams


def table(found: dict[str, float]) -> str:
    """Generated beside the truth's own figure, and beside the goal where there is one."""
    lines = [f"{'':32}{'generated':>12}{'composed':>12}  goal"]
    for name, value in found.items():
        if name.startswith("true_"):
            continue
        true = found.get(f"true_{name}")
        least, most = GOALS.get(name, (None, None))
        goal = "" if most is None else f"{least:g}..{most:g}" if least is not None else f"<= {most:g}"
        if most is not None and (value > most or (least is not None and value < least)):
            goal += "  MISSED"
        lines.append(f"{name:32}{value:12.4g}{'' if true is None else f'{true:12.4g}':>12}  {goal}".rstrip())
    return "\n".join(lines)


def _log_of(model: Path | None) -> Path | None:
    """The training log beside a model, if there is one."""
    candidates = [] if model is None else [model / "log.csv", model / "run" / "log.csv"]
    return next((path for path in candidates if path.is_file()), None)


def _write(folder: Path, record: str, compared: list[Compared], log: Path | None) -> None:
    from engine.skeleton import POSE_HAND
    from trainer.motion_eval import durations_s
    from trainer.plots import plot_durations, plot_log, plot_trajectories

    right = POSE_HAND["right"].start
    shown = [(c.word, c.our_points, c.their_points) for c in compared[:4]]
    fps = compared[0].ours.motion.fps
    plot_trajectories(
        shown,
        {"wrist": right, "index tip": right + 8, "thumb tip": right + 4},
        fps,
        folder / "trajectories.png",
    )
    plot_durations(*durations_s(compared), folder / "durations.png")
    if log is not None:
        plot_log(log, folder / "losses.png")
    (folder / "figures.json").write_text(record + "\n", "utf-8")
