"""`--choreography`: which one is chosen, and what a user is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.choreography import LexiconChoreography
from engine.choreography.cogeneration import CogenerationChoreography
from engine.choreography.cogeneration_lanes import CHOICES
from engine.glossing import PlainGlosser
from engine.lexicon import Lexicon
from engine.signals import Gloss
from engine.signer import Signer
from stream.choreographies import choose_choreography
from stream.cli import main
from stream.config import SPEEDS, Config
from stream.offline import Manner, perform


def test_the_choreography_of_that_name(tmp_path: Path) -> None:
    lexicon = Lexicon.default()
    try:
        assert isinstance(choose_choreography("lexicon", None, lexicon, 30), LexiconChoreography)
        assert isinstance(choose_choreography("cogeneration", None, lexicon, 25), CogenerationChoreography)
        with pytest.raises(ValueError, match=r"cannot read config\.json"):
            choose_choreography("cogeneration", tmp_path, lexicon, 25)
        with pytest.raises(ValueError, match="--choreography cogeneration too"):
            choose_choreography("lexicon", tmp_path, lexicon, 25)
        with pytest.raises(ValueError, match="--fps 25"):
            choose_choreography("cogeneration", None, lexicon, 50)
    finally:
        lexicon.close()
    assert Config().choreography == "lexicon"
    assert SPEEDS == CHOICES


def test_a_language_the_model_lacks_is_signed_from_the_lexicon_and_remarked() -> None:
    lexicon = Lexicon.default()
    try:
        choreography = choose_choreography("cogeneration", None, lexicon, 25)
        manner = Manner(language="fsl")
        performance = perform(["oui"], lexicon, PlainGlosser(lexicon), manner, choreography=choreography)
        signer = Signer(lexicon, PlainGlosser(lexicon), language="fsl", choreography=choreography)
        letter = Gloss("A", "a", "fsl", spelled=True)
        assert signer.recorded(letter)
        assert not signer.recorded(replace(letter, language="ase"))
        assert not Signer(lexicon, PlainGlosser(lexicon), language="fsl").recorded(letter)
    finally:
        lexicon.close()
    assert [gloss.label for gloss in performance.glosses] == ["O", "U", "I"]
    assert any("fsl/I, fsl/O, fsl/U" in remark for remark in performance.remarks)
    assert {0, 1, 2} <= set(performance.gloss_index.tolist())


def test_say_writes_generated_motion(tmp_path: Path) -> None:
    out = tmp_path / "ok.npz"
    assert main(["say", "ok", "--choreography", "cogeneration", "--out", str(out), "--quiet"]) == 0
    with np.load(out) as made:
        shown = made["gloss_index"]
        assert {0, 1} <= set(shown.tolist())
        assert np.isfinite(made["smplx"]).all()
