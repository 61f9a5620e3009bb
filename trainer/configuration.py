"""Configurations from JSON and from `name=value` words.

Enters: a mapping, or words such as `objective.sagm=1`. Leaves: a checked (nested) frozen dataclass.
Does not know what is configured.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

Config = TypeVar("Config")


def configured(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """An instance of the dataclass `kind` with `values` over its defaults. Raises ValueError for others."""
    return _laid_over(kind(), values, "")


def _laid_over(base: Config, values: Mapping[str, Any], where: str) -> Config:
    """A copy of the dataclass `base` with `values` in it, nested ones laid over what is there."""
    hints = get_type_hints(type(base))
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in hints:
            raise ValueError(f"configuration: {where}{name} is not known; expected one of {', '.join(hints)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ValueError(
                    f"configuration: {where}{name} got {value!r}, expected an object of settings"
                )
            value = _laid_over(getattr(base, name), value, f"{where}{name}.")
        elif hint in (int, float, str) and not isinstance(value, (int, float) if hint is float else hint):
            raise ValueError(f"configuration: {where}{name} got {value!r}, expected {hint.__name__}")
        given[name] = value
    return cast(Config, dataclasses.replace(cast(Any, base), **given))


def read_settings(path: Path | None, words: Sequence[str]) -> dict[str, Any]:
    """Settings of a JSON file (or none), then `a.b=value` words over it; values are JSON or plain text."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: no valid JSON ({error})") from error
    for word in words:
        names, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"--set {word!r}: expected name=value, for instance loop.epochs=20")
        place = values
        *outer, last = names.split(".")
        for name in outer:
            place = place.setdefault(name, {})
        try:
            place[last] = json.loads(text)
        except json.JSONDecodeError:
            place[last] = text
    return values
