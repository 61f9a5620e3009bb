"""`handstream lexicon list|add|show|check`: looking into motion lexicons, and adding to them.

Enters: arguments. Leaves: lines on stdout, an exit code. Does not know how motion is made or drawn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from engine.glossing import PlainGlosser
from engine.lexicon import Entry, Lexicon, Problem
from engine.lexicon.editing import add_recording, check_folder
from engine.lexicon.languages import backup_chain, language_info
from engine.lexicon.lexicon import default_folder
from engine.lexicon.packing import missing
from engine.retarget import read_pose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="what is in the lexicons")
    listing.add_argument("--language", help="signed language (ISO 639-3); lists its words")
    _stacked(listing)
    adding = actions.add_parser("add", help="add a recording of a sign to a lexicon folder")
    adding.add_argument("folder", type=Path, help="lexicon folder; made when missing")
    adding.add_argument("recording", type=Path, help=".pose file, or a video (needs the vision extra)")
    adding.add_argument("--word", required=True, help="the word the sign stands for")
    adding.add_argument("--language", required=True, help="signed language (ISO 639-3), such as sgg")
    adding.add_argument("--spoken", help="spoken language of the word (ISO 639-1); default: as registered")
    adding.add_argument("--gloss", help="gloss to show; default: the word")
    adding.add_argument("--start", type=int, default=0, help="where the sign begins, ms")
    adding.add_argument("--end", type=int, default=0, help="where it ends, ms; 0: at the end")
    adding.add_argument("--priority", type=int, default=0, help="lower is preferred among equals")
    showing = actions.add_parser("show", help="what a word is signed with")
    showing.add_argument("word")
    showing.add_argument("--language", default="ase", help="signed language, default ase")
    showing.add_argument("--out", type=Path, help="draw it into this .png too")
    _stacked(showing)
    checking = actions.add_parser("check", help="read every recording and name what is wrong")
    checking.add_argument("folder", type=Path, nargs="?", help="default: the built-in alphabets")


def _stacked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lexicon", type=Path, action="append", default=[], help="folder before the alphabets"
    )


def main(args: argparse.Namespace) -> int:
    return {"list": _list, "add": _add, "show": _show, "check": _check}[args.action](args)


def _opened(args: argparse.Namespace) -> Lexicon:
    return Lexicon.stack([*(Lexicon.open(path) for path in args.lexicon), Lexicon.default()])


def _list(args: argparse.Namespace) -> int:
    lexicon = _opened(args)
    try:
        if args.language is None:
            for code in lexicon.languages():
                own = [e for shelf in lexicon.shelves for e in shelf.entries.values() if e.language == code]
                letters = sum(entry.letter for entry in own)
                name = f"{code}  {language_info(code).name:<30} {lexicon.spoken(code)}"
                print(f"{name}  {letters} letters, {len(own) - letters} signs")
            return 0
        if not lexicon.knows(args.language):
            known = ", ".join(lexicon.languages())
            raise ValueError(
                f"no recordings in {args.language!r}; expected one of {known}, or a --lexicon with it"
            )
        for code in backup_chain(args.language):
            borrowed = "" if code == args.language else f" (borrowed from {language_info(code).name})"
            for shelf in lexicon.shelves:
                for entry in shelf.entries.values():
                    if entry.language == code:
                        kind = "letter" if entry.letter else "sign"
                        path = entry.path.relative_to(shelf.folder)
                        print(f"{', '.join(entry.words):<24} {kind:<7} {path}{borrowed}")
        return 0
    finally:
        lexicon.close()


def _add(args: argparse.Namespace) -> int:
    source: Path = args.recording
    if source.suffix == ".pose":
        try:
            recording = source.read_bytes()
        except OSError as error:
            raise ValueError(f"{source}: cannot be read ({error.strerror}); check the path") from error
    else:
        from engine.lexicon.video import pose_from_video

        with tqdm(desc="reading the video", unit="frame", disable=None) as bar:
            recording = pose_from_video(source, bar.update)
    path = add_recording(
        args.folder,
        recording,
        word=args.word,
        language=args.language,
        spoken=args.spoken,
        gloss=args.gloss,
        start_ms=args.start,
        end_ms=args.end,
        priority=args.priority,
    )
    print(f"{args.word!r} in {args.language}: {path}")
    manner = f"--language {args.language} --lexicon {args.folder}"
    print(f"sign it: handstream say {args.word!r} {manner} --out sign.mp4")
    return 0


def _show(args: argparse.Namespace) -> int:
    lexicon = _opened(args)
    try:
        glosser = PlainGlosser(lexicon, omit=False)
        glossed = glosser.push(args.word, glosser.open(args.language))
        for gloss in glossed.glosses:
            _describe(lexicon.entry(gloss.clip), args.language)
        for problem in glossed.unspellable:
            print(problem)
        if not (glossed.glosses or glossed.unspellable):
            raise ValueError(f"show: got {args.word!r}, expected a word")
    finally:
        lexicon.close()
    if not glossed.glosses:
        return 1
    return _draw(args) if args.out else 0


def _describe(entry: Entry, language: str) -> None:
    recording = read_pose(entry.path, entry.start_ms, entry.end_ms or None)
    kind = "letter" if entry.letter else "sign"
    borrowed = f", borrowed from {language_info(entry.language).name}" if entry.language != language else ""
    seconds = len(recording) / recording.fps
    print(
        f"{', '.join(entry.words)}: {kind}{borrowed}, {seconds:.2f} s at {recording.fps:g} fps, {entry.path}"
    )


def _draw(args: argparse.Namespace) -> int:
    """The same way `say` draws a contact sheet; imported here, since it needs a renderer."""
    if args.out.suffix != ".png":
        raise ValueError(
            f"--out {args.out}: got suffix {args.out.suffix!r}, expected .png; for a video use `say`"
        )
    from stream import say_command

    parser = argparse.ArgumentParser()
    say_command.add_arguments(parser)
    lexicons = [word for path in args.lexicon for word in ("--lexicon", str(path))]
    arguments = ["--out", str(args.out), "--language", args.language, *lexicons, "--", args.word]
    return say_command.main(parser.parse_args(arguments))


def _check(args: argparse.Namespace) -> int:
    folder = args.folder or default_folder()
    with tqdm(desc="checking", unit="clip", disable=None, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        problems = check_folder(folder, progress)
    if args.folder is None and (lacking := missing()):
        what = (
            f"{lacking} letters are not in the pack that ships with handstream and are retargeted when signed"
        )
        problems.append(Problem(0, what, "run `python -m engine.lexicon.packing`, or reinstall handstream"))
    for problem in problems:
        print(problem)
    print(f"{folder}: {'all well' if not problems else f'{len(problems)} problems'}", file=sys.stderr)
    return 1 if problems else 0
