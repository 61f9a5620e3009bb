"""Training: what is normalised, what each loss is, and that a killed run goes on as if never stopped."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.glossing.slul_vocabulary import END, MASK, TARGET_SEAT
from engine.nn.seq2seq import PAD
from tests.trainer.synthetic import config, pairs
from trainer.configuration import configured, read_settings
from trainer.data.pairs import read_table
from trainer.data.phoenix import normalise_glosses, read_pairs
from trainer.glosser import GlosserConfig, GlosserTask, train
from trainer.glosser_ablation import SETTINGS, ablate
from trainer.glosser_eval import words_dropped
from trainer.glosser_losses import Objective, contrastive, mask_probabilities
from trainer.glosser_noise import NoiseConfig, words_of
from trainer.glosser_streaming import average_lagging
from trainer.loop import Loop, LoopConfig

PHOENIX = next(
    (
        folder
        for parent in Path(__file__).resolve().parents
        if (folder := parent / "shared" / "data" / "phoenix14t_text").is_dir()
    ),
    None,
)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("__ON__ LIEB ZUSCHAUER __OFF__", "LIEB ZUSCHAUER"),
        ("WARM loc-WEST cl-KOMMEN neg-cl-KOMMEN", "WARM WEST KOMMEN neg-KOMMEN"),
        ("REGEN REGEN-PLUSPLUS loc-REGEN WOLKE", "REGEN WOLKE"),
        ("REGEN __PU__ REGEN", "REGEN"),
        ("NORDRAUM NORDWESTRAUM RAUM", "NORD NORDWEST RAUM"),
        ("S H IX SCH H M E Z", "S+H IX SCH+H+M+E+Z"),
        ("WIE AUSSEHEN WETTER ZEIGEN", "WIE-AUSSEHEN WETTER ZEIGEN-BILDSCHIRM"),
        ("__??DANN__ __??FALSCH:AUSSPRACHE__", ""),
    ],
)
def test_training_glosses_follow_the_references_convention(raw: str, normal: str) -> None:
    assert " ".join(normalise_glosses(raw)) == normal


def test_references_are_read_as_they_are(tmp_path: Path) -> None:
    line = "__ON__ REGEN REGEN loc-NORD"
    for split in ("train", "dev"):
        (tmp_path / f"x.{split}.de").write_text("es regnet .\n")
        (tmp_path / f"x.{split}.gloss").write_text(line + "\n")
    assert read_pairs(tmp_path, "dev")[0].glosses == tuple(line.split())
    assert read_pairs(tmp_path, "train")[0].glosses == ("REGEN", "NORD")
    (tmp_path / "x.dev.gloss").write_text(line + "\n\n")
    with pytest.raises(ValueError, match="1 sentences but 2 gloss lines"):
        read_pairs(tmp_path, "dev")


@pytest.mark.skipif(PHOENIX is None, reason="needs the shared PHOENIX-2014T text")
def test_no_reference_gloss_is_left_out_by_normalising_the_training_side() -> None:
    assert PHOENIX is not None
    known = {g for pair in read_pairs(PHOENIX, "train") for g in pair.glosses}
    wanted = [g for pair in read_pairs(PHOENIX, "dev") for g in pair.glosses]
    raw = {g for pair in read_pairs(PHOENIX, "train", normalise=False) for g in pair.glosses}
    unknown = [g for g in wanted if g not in known]
    assert len(unknown) <= len([g for g in wanted if g not in raw])
    assert len(unknown) < 0.005 * len(wanted)


def test_tables_of_other_languages(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("ase\tI saw 2 dogs.\tDOG TWO SEE I\n\ngsg\tEs regnet\tREGEN\n")
    first, second = read_table(tmp_path / "a.tsv")
    assert first.words == ("i", "saw", "two", "dogs")
    assert (second.language, second.glosses) == ("gsg", ("REGEN",))
    (tmp_path / "a.tsv").write_text("ase only two\n")
    with pytest.raises(ValueError, match=r"a.tsv:1: got 1 cells"):
        read_table(tmp_path / "a.tsv")


def test_one_model_learns_several_languages_and_tells_them_apart() -> None:
    mixed = [*pairs(20), *(dataclasses.replace(p, language="ase") for p in pairs(20))]
    task = GlosserTask(mixed, [], config())
    assert task.vocabulary.languages == ("ase", "gsg")
    german, american = (task.vocabulary.source(["morgen"], code).tokens for code in ("gsg", "ase"))
    assert german[1:] == american[1:]
    assert german[0] != american[0]


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    noisy = config(noise=NoiseConfig(subword_dropout=0.2, word_dropout=0.1, prefix_share=0.3, copy_share=0.1))
    one, two = (GlosserTask(pairs(60), [], noisy) for _ in range(2))
    for epoch in (0, 3):
        for left, right in zip(one.batches(epoch), two.batches(epoch), strict=True):
            assert torch.equal(left.source, right.source)
            assert torch.equal(left.target, right.target)
    assert [b.source.tolist() for b in one.batches(0)] != [b.source.tolist() for b in one.batches(1)]


def test_names_take_the_same_seat_on_both_sides() -> None:
    task = GlosserTask(pairs(100), [], config(noise=NoiseConfig(name_share=0.9)))
    rng = random.Random(0)
    seen = 0
    for pair in task.train:
        source, target = task.noise.row(pair, rng)
        seats = [t - TARGET_SEAT for t in target if TARGET_SEAT <= t < TARGET_SEAT + 4]
        assert sorted(seats) == sorted(t - 3 for t in source if 3 <= t < 7)
        seen += len(seats)
    assert seen > 20


@pytest.mark.parametrize(
    "objective",
    [
        Objective(),
        Objective(sagm=1.0),
        Objective(sagm=1.0, mask_weighting="uniform"),
        Objective(sagm=1.0, kl=1.0, contrast=0.1),
        Objective(rdrop=1.0),
        Objective(gloss_noise=0.2),
    ],
)
def test_each_loss_can_be_switched(objective: Objective) -> None:
    task = GlosserTask(pairs(32), [], config(objective=objective, dropout=0.1))
    losses = task.loss(task.batches(0)[0])
    on = {name for name in ("sagm", "kl", "contrast", "rdrop") if getattr(objective, name)}
    assert set(losses) == {"loss", "ce"} | on
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.model.parameters())


def test_divergences_vanish_without_noise() -> None:
    task = GlosserTask(pairs(32), [], config(objective=Objective(kl=1.0, rdrop=1.0, mask_rate=0.0)))
    losses = task.loss(task.batches(0)[0])  # dropout is 0 and nothing is masked: both passes are alike
    assert float(losses["kl"].detach()) == pytest.approx(0, abs=1e-6)
    assert float(losses["rdrop"].detach()) == pytest.approx(0, abs=1e-6)
    assert float(losses["loss"].detach()) == pytest.approx(float(losses["ce"].detach()), abs=1e-5)


def test_semantic_masking_hides_what_tells_most_at_the_same_mean_rate() -> None:
    counts = torch.zeros(MASK + 20)
    counts[-4:] = torch.tensor([40.0, 30.0, 20.0, 10.0])
    semantic, uniform = (mask_probabilities(counts, 0.2, kind) for kind in ("semantic", "uniform"))
    shares = counts / counts.sum()
    assert (semantic[-4:].diff() >= 0).all()
    assert float((shares * semantic).sum()) == pytest.approx(0.2, abs=0.02)
    assert float((shares * uniform).sum()) == pytest.approx(0.2)
    assert semantic[:-4].max() == 0
    assert semantic[PAD] == semantic[END] == 0


def test_contrast_is_least_where_each_is_nearest_its_own() -> None:
    states = torch.nn.functional.normalize(
        torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    assert contrastive(states, states, 0.1) < contrastive(states, states.roll(1, 0), 0.1)


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    settings = config(dropout=0.2, objective=Objective(sagm=1.0, gloss_noise=0.1))
    settings = dataclasses.replace(
        settings, loop=dataclasses.replace(settings.loop, epochs=3, evaluate_every=1)
    )
    data = pairs(40)

    def loop(folder: Path) -> Loop:
        return Loop(GlosserTask(data, data[:1], settings), settings.loop, folder)

    whole = loop(tmp_path / "whole")
    whole.run()
    for stop in (2, 5):  # killed inside the first epoch, then inside the second
        loop(tmp_path / "parts").run(until_step=stop)
    rest = loop(tmp_path / "parts")
    rest.run()
    assert rest.step == whole.step
    for model in ("model", "averaged"):
        left, right = ((x.task.model if model == "model" else x.averaged).state_dict() for x in (whole, rest))
        assert all(torch.equal(left[name], right[name]) for name in left), model
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [line.split(",")[3:] for line in logs[0]] == [line.split(",")[3:] for line in logs[1]]


def test_a_run_is_not_resumed_with_another_configuration(tmp_path: Path) -> None:
    task = GlosserTask(pairs(20), [], config())
    Loop(task, LoopConfig(epochs=2), tmp_path).run(until_step=1)
    with pytest.raises(ValueError, match="another configuration"):
        Loop(task, LoopConfig(epochs=3), tmp_path).run()


def test_settings_from_words_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"width": 64, "loop": {"epochs": 3}}')
    read = read_settings(tmp_path / "a.json", ["loop.seed=5", "objective.mask_weighting=uniform"])
    got = configured(GlosserConfig, read)
    assert (got.width, got.loop.epochs, got.loop.seed) == (64, 3, 5)
    assert got.objective.mask_weighting == "uniform"
    assert configured(GlosserConfig, {"loop": {"seed": 5}}).loop.epochs == GlosserConfig().loop.epochs
    for wrong, message in (({"widht": 3}, "widht is not known"), ({"loop": {"epochs": "x"}}, "expected int")):
        with pytest.raises(ValueError, match=message):
            configured(GlosserConfig, wrong)


def test_average_lagging_by_hand() -> None:
    assert average_lagging([6, 6, 6], 6) == 6  # all at the end: as many words late as there are
    assert average_lagging([2, 4, 6], 6) == 2  # in step with the speaker, two words to a gloss
    assert average_lagging([1, 2, 3, 4], 4) == 1


def test_words_dropped_are_always_the_same_and_never_all() -> None:
    data = pairs(50)
    assert words_dropped(data, 0.15) == words_dropped(data, 0.15) != data
    assert words_dropped(data, 0.0) == data
    assert all(pair.words for pair in words_dropped(data, 0.99))


def test_ablation_resumes_and_tells_the_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = {"pieces": 60, "width": 16, "heads": 2, "inner": 16, "loop": {"epochs": 1}}
    compared = {name: SETTINGS[name] for name in ("ce", "ce + SAGM + KL")}
    rows = ablate(pairs(16), pairs(2), quick, tmp_path, 2, compared)
    assert len(rows) == 4
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("config.json")}
    assert ablate(pairs(16), pairs(2), quick, tmp_path, 2, compared) == rows
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("config.json")}
    assert "ce + SAGM + KL" in capsys.readouterr().out
    begun = ablate(
        pairs(16), pairs(2), quick, tmp_path / "on", 1, {"ce": {}}, start=tmp_path / "ce-0"
    )  # goes on from a trained model
    assert len(begun) == 1
    left, right = (open_checkpoint(tmp_path / place)[0] for place in ("ce-0", "on/ce-0"))
    assert any(not torch.equal(left[name], right[name]) for name in left)
    foreign = [dataclasses.replace(pair, language="ase") for pair in pairs(16)]
    with pytest.raises(ValueError, match="knows 0% of the glosses"):
        ablate(foreign, pairs(2), quick, tmp_path / "off", 1, {"ce": {}}, start=tmp_path / "ce-0")


def test_teachers_retell_only_the_training_text(tmp_path: Path) -> None:
    from tests.trainer.synthetic import trained
    from trainer.glosser_distil import retold

    trained(tmp_path)
    data = pairs(30, seed=5)
    wrong = [dataclasses.replace(pair, glosses=("HEUTE", *pair.glosses)) for pair in data]
    told = retold(wrong, [tmp_path, tmp_path])
    assert {pair.words for pair in told} <= {pair.words for pair in data}
    right = {pair.words: pair.glosses for pair in data}
    assert sum(pair.glosses == right[pair.words] for pair in told) > 0.8 * len(told)
    assert open_checkpoint(tmp_path)[1]["kind"] == "handstream-slul-1"


def test_calm_epochs_come_first_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    settings = config(calm_epochs=2, dropout=0.3)
    settings = dataclasses.replace(
        settings, loop=dataclasses.replace(settings.loop, epochs=1, evaluate_every=1)
    )
    calm = settings.calm()
    assert (calm.dropout, calm.noise.subword_dropout, calm.calm_epochs, calm.loop.epochs) == (0.15, 0.0, 0, 2)
    said = train(pairs(40), [], settings, tmp_path).weights()
    first = open_checkpoint(tmp_path / "calm")[0]
    assert any(not torch.equal(said[name], first[name]) for name in said)
    before = (tmp_path / "log.csv").read_text()
    again = train(pairs(40), [], settings, tmp_path).weights()
    assert all(torch.equal(said[name], again[name]) for name in said)
    assert (tmp_path / "log.csv").read_text() == before
    with pytest.raises(ValueError, match="calm_epochs"):
        config(calm_epochs=-1)


def test_glosses_as_words_take_the_place_of_the_text_in_their_share() -> None:
    assert words_of(["REGEN", "WIE-AUSSEHEN", "S+H"]) == ["regen", "wie", "aussehen", "s", "h"]
    task = GlosserTask(pairs(50), [], config(noise=NoiseConfig(0.0, name_share=0.0, copy_share=0.5)))
    rng = random.Random(0)
    copied = 0
    for pair in task.train:
        source, target = task.noise.row(pair, rng)
        copy, text = (task.vocabulary.source(w, "gsg").tokens for w in (words_of(pair.glosses), pair.words))
        assert source in (copy, text)
        assert target == task.vocabulary.target(pair.glosses)
        copied += source == copy
    assert 10 < copied < 40


def test_back_translation_gives_other_texts_for_the_same_glosses(tmp_path: Path) -> None:
    from trainer.glosser_distil import back_translated, reversed_pairs

    data = pairs(200)
    train(reversed_pairs(data), [], config(), tmp_path)
    wordy = [dataclasses.replace(pair, words=("ja", *pair.words)) for pair in data]  # said otherwise
    told = back_translated(wordy, tmp_path)
    right = {pair.glosses: {other.words for other in data if other.glosses == pair.glosses} for pair in data}
    assert len(told) > 150
    assert sum(pair.words in right[pair.glosses] for pair in told) > 0.8 * len(told)


def test_made_pairs_do_not_change_the_vocabulary(tmp_path: Path) -> None:
    data = pairs(40)
    quick = dataclasses.replace(config(), loop=LoopConfig(epochs=1, warmup_steps=2))
    plain = train(data, [], quick, tmp_path / "plain")
    made = [dataclasses.replace(pair, glosses=("NEU", *pair.glosses)) for pair in data]
    more = train(data, [], quick, tmp_path / "more", further=made)
    assert more.vocabulary.to_json() == plain.vocabulary.to_json()
    assert any(not torch.equal(plain.weights()[name], tensor) for name, tensor in more.weights().items())


def test_distilling_is_teachers_then_a_student_and_a_second_call_changes_nothing(tmp_path: Path) -> None:
    from trainer.glosser_distil import retold, train_distilled

    data = pairs(40)
    loop = LoopConfig(epochs=2, warmup_steps=2, evaluate_every=2)
    quick = dataclasses.replace(config(dropout=0.1), loop=loop)
    student = train_distilled(data, [], quick, tmp_path / "one", 2)
    for seed in (0, 1):  # the same by hand
        settings = dataclasses.replace(quick, loop=dataclasses.replace(loop, seed=seed))
        train(data, [], settings, tmp_path / f"teacher{seed}")
    places = [tmp_path / "teacher0", tmp_path / "teacher1"]
    last = quick.distilling(2)
    assert (last.loop.epochs, last.loop.seed, last.calm_epochs) == (1, 4, 0)
    by_hand = train(
        data, [], last, tmp_path / "hand", start=tmp_path / "teacher1", further=retold(data, places)
    )
    assert all(torch.equal(by_hand.weights()[name], t) for name, t in student.weights().items())
    before = (tmp_path / "one" / "log.csv").read_text()
    again = train_distilled(data, [], quick, tmp_path / "one", 2)
    assert all(torch.equal(again.weights()[name], t) for name, t in student.weights().items())
    assert (tmp_path / "one" / "log.csv").read_text() == before
    with pytest.raises(ValueError, match="at least 2"):
        train_distilled(data, [], quick, tmp_path / "none", 1)
