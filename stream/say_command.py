"""`handstream say`: text into a file.

Enters: arguments and, with --pipe, lines on stdin. Leaves: one file, and remarks about what could not be
signed on stderr. Does not know how motion or pictures are made.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from tqdm import tqdm

from engine.lexicon import Lexicon
from renderer.avatar import SIGNERS, AvatarConfig
from stream import exports
from stream.choreographies import add_choreography_arguments, choose_choreography
from stream.glossers import add_glosser_arguments, choose_glosser
from stream.offline import Manner, Performance, perform
from stream.provenance import ALGORITHM, TRAINED, Credentials, check_signable
from stream.renderers import Drawing, add_renderer_arguments, choose_drawing, file_renderer, settings_of

MAX_REMARKS = 50
PICTURES = (".mp4", ".mov", ".webm", ".png")
SUFFIXES = (*PICTURES, ".pose", ".npz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="*", help="what to sign (or use --pipe)")
    parser.add_argument("--pipe", action="store_true", help="read lines from stdin until it ends")
    parser.add_argument("--out", type=Path, required=True, help=f"file to write: {', '.join(SUFFIXES)}")
    parser.add_argument("--language", default="ase", help="signed language (ISO 639-3), default ase")
    parser.add_argument(
        "--lexicon", type=Path, action="append", default=[], help="folder with index.csv (repeatable)"
    )
    parser.add_argument("--signer", default=next(iter(SIGNERS)), choices=tuple(SIGNERS), help="who signs")
    parser.add_argument(
        "--size", default="512x512", help="picture size, WIDTHxHEIGHT, even numbers up to 1920x1080"
    )
    parser.add_argument("--background", default="plain", choices=("plain", "green", "transparent"))
    parser.add_argument("--rate", type=float, default=1.0, help="signing rate, 0.5 to 2")
    parser.add_argument("--left-handed", action="store_true", help="sign with the left hand")
    add_glosser_arguments(parser)
    add_choreography_arguments(parser)
    add_renderer_arguments(parser)
    parser.add_argument("--c2pa-certificate", type=Path, metavar="PEM",
                        help="put a C2PA manifest into the .mp4, .mov or .png, signed with this certificate "
                        "of yours (chain); see docs/provenance.md")  # fmt: skip
    parser.add_argument("--c2pa-key", type=Path, metavar="PEM", help="its private key")
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def main(args: argparse.Namespace) -> int:
    started = time.monotonic()
    out: Path = args.out
    if out.suffix not in SUFFIXES:
        raise ValueError(f"--out {out}: got suffix {out.suffix!r}, expected one of {', '.join(SUFFIXES)}")
    if args.pipe == bool(args.text):
        raise ValueError("give either the text or --pipe with lines on stdin, not both and not neither")
    _check(args)
    credentials = _credentials(args)
    lines = map(_readable, sys.stdin if args.pipe else [" ".join(args.text)])
    drawing = choose_drawing(settings_of(args), live=False)
    lexicon = Lexicon.stack([*(Lexicon.open(path) for path in args.lexicon), Lexicon.default()])
    glosser = choose_glosser(args.glosser, args.glosser_model, lexicon)
    choreography = choose_choreography(
        args.choreography, args.choreography_model, lexicon, args.fps, args.choreography_speed
    )
    manner = Manner(args.language, args.rate, args.left_handed, args.fps)
    try:
        with _bar("signing", args.quiet) as bar:
            performance = perform(lines, lexicon, glosser, manner, bar.show, choreography)
        with _bar("writing", args.quiet) as bar:
            _write(performance, args, bar, drawing, credentials)
    finally:
        lexicon.close()
    for remark in performance.remarks[:MAX_REMARKS]:
        print(f"note: {remark}", file=sys.stderr)
    if len(performance.remarks) > MAX_REMARKS:
        more = len(performance.remarks) - MAX_REMARKS
        print(f"note: and {more} more that were not signed; see the text", file=sys.stderr)
    seconds = len(performance.motion) / performance.motion.fps
    took = time.monotonic() - started
    made = f"{len(performance.glosses)} glosses, {seconds:.1f} s of signing, made in {took:.1f} s"
    print(f"{out}: {made} ({exports.LABEL})")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raises ValueError for what would else be found out when all the motion is made."""
    exports.check_folder(args.out)
    if args.out.suffix in PICTURES:
        _look(args)
    if args.background == "transparent" and args.out.suffix in exports.OPAQUE:
        raise ValueError(exports.NO_TRANSPARENCY.format(args.out.suffix))


def _credentials(args: argparse.Namespace) -> Credentials | None:
    """What the file is to be signed with. Raises ValueError for what cannot be."""
    if args.c2pa_certificate is None and args.c2pa_key is None:
        return None
    if args.c2pa_certificate is None or args.c2pa_key is None:
        raise ValueError("--c2pa-certificate and --c2pa-key: got one of them, expected both")
    check_signable(args.out)
    return Credentials(args.c2pa_certificate, args.c2pa_key)


def _look(args: argparse.Namespace) -> AvatarConfig:
    width, height = parse_size(args.size)
    return AvatarConfig(args.signer, width, height, args.background)


def _readable(line: str) -> str:
    """What is not UTF-8 becomes U+FFFD, which is reported as a symbol without a sign."""
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _bar:
    """A tqdm bar that accepts (done, total) with a total that may still grow."""

    def __init__(self, what: str, quiet: bool) -> None:
        columns = shutil.get_terminal_size().columns  # 80 where the terminal does not say
        self._bar = tqdm(desc=what, disable=quiet or None, leave=False, ncols=columns)

    def show(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> _bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def _write(
    performance: Performance,
    args: argparse.Namespace,
    bar: _bar,
    drawing: Drawing,
    credentials: Credentials | None,
) -> None:
    out: Path = args.out
    if out.suffix == ".npz":
        exports.write_npz(performance, out)
    elif out.suffix == ".pose":
        exports.write_pose(performance, out)
    else:
        renderer = file_renderer(drawing, _look(args))
        write = exports.write_sheet if out.suffix == ".png" else exports.write_video
        trained = drawing.below is not None or args.choreography == "cogeneration"
        seal = credentials.sign if credentials is not None else None
        write(performance, renderer, out, bar.show, TRAINED if trained else ALGORITHM, seal)


def parse_size(text: str) -> tuple[int, int]:
    """`512x512` -> (512, 512). Raises ValueError with the expected form; the renderer checks the range."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size: got {text!r}, expected WIDTHxHEIGHT such as 512x512") from None
    return width, height
