"""How an attempt fails."""

from __future__ import annotations

import math

# Codes that only the server gives; a report with one of them would be refused.
RESERVED = frozenset({"canceled", "expired", "timeout", "leaseExpired", "invalidRequest"})
# The code where a handler gives none of its own.
UNNAMED = "handlerError"


class HandlerError(Exception):
    """Why an attempt came to nothing: a code for programs, a message for people.

    The codes ``canceled``, ``expired``, ``timeout``, ``leaseExpired`` and ``invalidRequest`` belong to the
    server; one of them becomes ``handlerError``, with the code in the message.
    """

    def __init__(self, code: str, message: str) -> None:
        if code in RESERVED:
            code, message = UNNAMED, f"{code}: {message}"
        super().__init__(message)
        self.code = code or UNNAMED
        self.message = message


class RetryableError(HandlerError):
    """Another attempt may help.

    It comes as the operation's retry policy says, and not within ``after`` seconds (rounded up to whole
    ones).
    """

    def __init__(self, code: str, message: str, *, after: float | None = None) -> None:
        super().__init__(code, message)
        usable = after is not None and math.isfinite(after) and after >= 0
        self.after = math.ceil(after) if after is not None and usable else None


class PermanentError(HandlerError):
    """No other attempt would help: the operation is ``Failed``."""


class Released(Exception):
    """Hands the operation back for another worker, with its latest checkpoint; the attempt is not counted.

    Meant for a worker that shuts down, see ``Context.draining``.
    """


def of_exception(error: BaseException) -> HandlerError:
    """What an exception of another kind is: retryable, with its kind, its message and those of its causes."""
    if isinstance(error, HandlerError):
        return error
    messages, at, seen = [], error, {id(error)}
    while True:
        text = str(at)
        messages.append(f"{type(at).__name__}: {text}" if text else type(at).__name__)
        cause = at.__cause__
        if cause is None or id(cause) in seen:
            return RetryableError(UNNAMED, ": ".join(messages))
        seen.add(id(cause))
        at = cause
