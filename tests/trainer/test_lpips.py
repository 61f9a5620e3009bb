"""LPIPS is torchmetrics', where its weights are at hand."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import lpips as theirs

from trainer.metrics.lpips import Lpips

torch.set_num_threads(1)


def test_lpips_is_that_of_torchmetrics_given_the_same_weights(tmp_path, monkeypatch):
    """torchmetrics' own LPIPS, its backbone being AlexNet's features with the weights of the file."""
    torch.manual_seed(0)
    features = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 11, 4, 2), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2),
        torch.nn.Conv2d(64, 192, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2),
        torch.nn.Conv2d(192, 384, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(384, 256, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(256, 256, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2),
    )  # fmt: skip
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_, **__: features)
    network = theirs._LPIPS(pretrained=True, net="alex", pnet_rand=True)
    file = tmp_path / "alexnet.pth"
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    ours = Lpips(file)
    a, b = (torch.rand(3, 3, 96, 96) * 2 - 1 for _ in range(2))
    assert torch.allclose(ours.distance(a, b), network(a, b).flatten(), rtol=1e-4)
    pictures = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8)
    assert ours(pictures, pictures) == 0
    assert ours(pictures, 255 - pictures) > 0
    for name, wrong, message in (
        ("none.pth", b"", "cannot be read"),
        ("other.pth", None, "expected the weights of torchvision's AlexNet"),
    ):
        path = tmp_path / name
        if wrong is None:
            torch.save({"a": torch.zeros(1)}, path)
        else:
            path.write_bytes(wrong)
        with pytest.raises(ValueError, match=message):
            Lpips(path)
