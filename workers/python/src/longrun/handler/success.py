"""How an attempt ends well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Success:
    """What came out of an operation, for a handler that has more to say than its result.

    ``result`` is anything with JSON form, at most 256 KiB; ``status_detail`` the sentence that tells people
    how it ended; ``resource_location`` the absolute URL of what was made.
    """

    result: Any = None
    status_detail: str | None = None
    resource_location: str | None = None
