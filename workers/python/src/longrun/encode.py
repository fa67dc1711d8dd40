"""Values of users as JSON, and texts in the form that the protocol takes."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def to_json(value: Any) -> bytes:
    """Writes a value as JSON: what ``json`` knows, dataclasses as objects, enums as their values.

    Raises ``ValueError`` for a value without JSON form: NaN, a lone surrogate, an object of another kind.
    """
    try:
        return _encode(value).encode()
    except (TypeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode


def clean(text: str) -> str:
    """A text as the protocol takes it: no U+0000, and no surrogates, which names of files may hold."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="replace").decode()
    return text


def cut(text: str, bytes_max: int) -> str:
    """Cuts a text so that it has at most so many bytes as JSON."""
    text = clean(text)
    # Six is the most that JSON makes of a byte, four the most that UTF-8 makes of a character: nearly every
    # text ends here.
    if len(text) * 6 <= bytes_max:
        return text
    total = 0
    for at, char in enumerate(text):
        total += escaped_len(char)
        if total > bytes_max:
            return text[:at]
    return text


def escaped_len(text: str) -> int:
    """How many bytes a clean text has as JSON, without its quotes."""
    return len(_encode(text).encode()) - 2
