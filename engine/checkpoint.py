"""Weights and their configuration, side by side in one folder; a crash never leaves half a model.

Enters: tensors by name and a JSON-able configuration. Leaves: the same, checked.
Does not know what model they belong to.

A checkpoint is a folder with `config.json` and `weights-<hash>.safetensors`. The configuration names the
weights file it belongs to and is replaced last, atomically: until then the former checkpoint is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

CONFIG = "config.json"


def save_checkpoint(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Path:
    """Write a checkpoint into `folder` (made if absent), replacing the one it holds. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    drafts = [folder / f".{kind}-{os.getpid()}.tmp" for kind in ("weights", "config")]
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, drafts[0])
        digest = _digest(drafts[0])
        weights = folder / f"weights-{digest[:12]}.safetensors"
        _settle(drafts[0], weights)
        text = json.dumps({"weights": weights.name, "sha256": digest, **config}, ensure_ascii=False, indent=1)
        drafts[1].write_text(text + "\n", "utf-8")
        _settle(drafts[1], folder / CONFIG)
    finally:
        for draft in drafts:  # on a full disk, what half a draft takes is missed elsewhere
            draft.unlink(missing_ok=True)
    left = (*folder.glob(".weights-*.tmp"), *folder.glob(".config-*.tmp"))  # by processes that were killed
    for old in (*folder.glob("weights-*.safetensors"), *left):
        if old != weights:
            old.unlink(missing_ok=True)
    return folder


def _settle(draft: Path, path: Path) -> None:
    """Give a finished draft its name, after its bytes have reached the disk."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and configuration of a checkpoint.

    Raises ValueError where it is absent, truncated, changed since it was saved, or no checkpoint at all.
    """
    path = folder / CONFIG
    remedy = "copy the whole folder again, or train the model anew"
    try:
        config = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(
            f"checkpoint {folder}: cannot read {CONFIG} ({error.strerror}); "
            f"expected a folder with {CONFIG} and weights-*.safetensors; {remedy}"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"checkpoint {folder}: {CONFIG} is damaged ({error}); {remedy}") from error
    if not isinstance(config, dict) or not isinstance(config.get("weights"), str) or "sha256" not in config:
        raise ValueError(f"checkpoint {folder}: {CONFIG} names no weights, so it is no checkpoint; {remedy}")
    weights = folder / Path(config["weights"]).name
    if not weights.is_file():
        raise ValueError(f"checkpoint {folder}: {weights.name} is missing; {remedy}")
    digest = _digest(weights)
    if digest != config["sha256"]:
        raise ValueError(
            f"checkpoint {folder}: {weights.name} has sha256 {digest[:12]}.., "
            f"expected {config['sha256'][:12]}..: it is truncated or was changed; {remedy}"
        )
    try:
        return load_file(weights), config
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint {folder}: {weights.name} holds no weights ({error}); {remedy}"
        ) from error
