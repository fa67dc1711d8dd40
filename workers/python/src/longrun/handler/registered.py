"""A function as the handler of an operation type."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

from .context import Context
from .decode import Decode, decoder
from .errors import PermanentError

Function = Callable[[Any, Context], Any]
"""``(input, context)`` to a result; a coroutine function, or a plain one that is run in a thread."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One function, and how its input is decoded."""

    function: Function
    decode: Decode
    is_async: bool

    def call(self, context: Context) -> Any | Awaitable[Any]:
        """Calls the function; raises a permanent ``invalidInput`` for an input of another type."""
        try:
            value = self.decode(context.operation.input, "input")
        except (ValueError, TypeError) as error:  # TypeError: a dataclass' own check
            raise PermanentError("invalidInput", str(error)) from error
        return self.function(value, context)


def registered(function: Function) -> Handler:
    """Looks at a function; raises ``TypeError`` for one that cannot be a handler."""
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(parameters) < 2:
        raise TypeError("a handler takes the input and a context: (input, context)")
    named: Any = function.func if isinstance(function, partial) else function
    if not inspect.isroutine(named):
        named = type(named).__call__
    hint = get_type_hints(inspect.unwrap(named)).get(parameters[0].name, Any)
    return Handler(function, decoder(hint), inspect.iscoroutinefunction(named))
