"""Print the letters' figures and draw them beside their recordings, for people to judge.

python -m tests.legibility [language] [--out letters.png] [--signer NAME] [--no-contacts]
"""

from __future__ import annotations

import argparse
import json

from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer
from tests.legibility.protocol import SIZE, read_letters, summary
from tests.legibility.sheet import contact_sheet, verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", nargs="?", default="ase")
    parser.add_argument("--out", default="letters.png")
    parser.add_argument("--signer", default=next(iter(SIGNERS)))
    parser.add_argument("--no-contacts", action="store_true")
    arguments = parser.parse_args()
    renderer = AvatarRenderer(AvatarConfig(signer=arguments.signer, width=SIZE, height=SIZE))
    renderer.open()
    try:
        readings = read_letters(renderer.rgba, arguments.language, contacts=not arguments.no_contacts)
    finally:
        renderer.close()
    for r in readings:
        print(f"{r.letter:>4}  {verdict(r)}{'' if r.named == r.letter else '   <--'}")
    contact_sheet(readings).save(arguments.out)
    print(f"wrote {arguments.out}")
    print(json.dumps({"benchmark": "legibility", "language": arguments.language, **summary(readings)}))


if __name__ == "__main__":
    main()
