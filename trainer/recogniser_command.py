"""`handstream train recogniser`: the judge of generated signing, from composed recordings.

Enters: arguments. Leaves: a recogniser folder, `log.csv`, its error on held-back words. Does not know how it
learns.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

SEED = 10_000
"""Texts of the recogniser differ from those generators learn from, whose seeds are small."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="where the model goes")
    parser.add_argument(
        "--language", action="append", metavar="CODE", help="signed language; repeatable; default ase"
    )
    parser.add_argument("--texts", type=int, default=600, help="composed texts a language (default 600)")
    parser.add_argument(
        "--data", type=Path, action="append", default=[], metavar="FOLDER", help="prepared sequences to add"
    )
    parser.add_argument(
        "--lexicon", type=Path, action="append", default=[], help="folder with index.csv (repeatable)"
    )
    parser.add_argument("--words", type=int, default=200, help="held-back words to measure it on")
    parser.add_argument(
        "--config", type=Path, metavar="FILE.json", help="settings; default: the best we know"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, such as loop.epochs=4"
    )
    parser.add_argument("--threads", type=int, default=0, help="cores to use; 0: all")


def main(args: argparse.Namespace) -> int:
    """Compose, train, measure."""
    import torch

    from engine.lexicon import Lexicon
    from trainer.configuration import configured, read_settings
    from trainer.data.compositions import Composer, CompositionConfig
    from trainer.data.sequences import SequenceStore
    from trainer.data.words import Texts, held_back_words
    from trainer.loop import Loop
    from trainer.recogniser import Recogniser
    from trainer.recogniser_training import RecogniserTask, RecogniserTraining, example, examples

    if args.threads:
        torch.set_num_threads(args.threads)
    config = configured(RecogniserTraining, read_settings(args.config, args.set))
    lexicon = Lexicon.stack([*(Lexicon.open(path) for path in args.lexicon), Lexicon.default()])
    train, dev = [], []
    try:
        for language in dict.fromkeys(args.language or ["ase"]):
            composer = Composer(lexicon, CompositionConfig(language=language, seed=SEED))
            texts = itertools.islice(Texts(lexicon, language, SEED), args.texts)
            train += examples(
                (composer.spell(text, name=f"{language}/{i}") for i, text in enumerate(texts)), language
            )
            dev += [
                example(composer.spell(word, name=f"held back/{word}", rate=1.0))
                for word in held_back_words(lexicon, language, args.words)
            ]
    finally:
        lexicon.close()
    if args.data:
        train += examples(SequenceStore(*args.data), "prepared")
    task = RecogniserTask(train, dev, config)
    loop = Loop(task, config.loop, args.model / "run")
    figures = loop.run()
    made = Recogniser(loop.averaged, config.model, task.recogniser.glosses)
    made.note = f"{len(train)} composed clips; seed {SEED}; letter error on held-back words: {figures}"
    made.save(args.model)
    print(json.dumps({"model": str(args.model), "clips": len(train), **figures}))
    return 0
