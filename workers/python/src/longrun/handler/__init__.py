"""What a worker author writes: one function for each operation type.

A handler takes the input and a ``Context`` and returns its result, or raises ``RetryableError`` or
``PermanentError``. Leases, heartbeats, repetition and shutdown are the runtime's.
"""

from .context import Context
from .errors import HandlerError, PermanentError, Released, RetryableError
from .held import StopReason
from .signal import Signal
from .success import Success

__all__ = [
    "Context",
    "HandlerError",
    "PermanentError",
    "Released",
    "RetryableError",
    "Signal",
    "StopReason",
    "Success",
]
