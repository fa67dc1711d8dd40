"""Inputs as the types that handlers name.

A small decoder that is honest: it knows dataclasses, typed dictionaries, lists, dictionaries, unions,
literals, enums and JSON's own types, refuses any other when the handler is registered, and never turns a
value of one type into another's. An integer may stand where a number is asked for. Names are taken exactly; a
field that the type does not know is passed over, so that clients may be newer than workers.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Decode = Callable[[Any, str], Any]
"""Takes a JSON value and where it stands; raises ``ValueError`` that says what is wrong there."""

# bool before int, since it is one for isinstance.
PLAIN: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: ("a number", lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)),
    str: ("a text", lambda value: isinstance(value, str)),
    types.NoneType: ("null", lambda value: value is None),
    dict: ("an object", lambda value: isinstance(value, dict)),
    list: ("a list", lambda value: isinstance(value, list)),
}


def decoder(kind: Any) -> Decode:
    """The decoder of a type; raises ``TypeError`` for one that has none."""
    return _decoder(kind, {})


def _decoder(kind: Any, known: dict[Any, Decode]) -> Decode:
    """``known`` has the types that are being looked at, for those that hold themselves."""
    if kind is Any or kind is object:
        return lambda value, where: value
    kind = types.NoneType if kind is None else kind
    if kind in PLAIN:
        return _plain(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (list, Sequence):
        return _list(_decoder(arguments[0], known))
    if origin in (dict, Mapping) and arguments[0] is str:
        return _dict(_decoder(arguments[1], known))
    if origin in (Union, types.UnionType):
        return _union([_decoder(argument, known) for argument in arguments])
    if origin is Literal:
        return _one_of(arguments, lambda value: value)
    if origin is Annotated or getattr(origin, "_name", None) in ("Required", "NotRequired"):
        return _decoder(arguments[0], known)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _one_of([member.value for member in kind], kind)
    if kind in known:
        return lambda value, where: known[kind](value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _object(kind, _dataclass_fields(kind), known)
    if is_typeddict(kind):
        return _object(kind, {name: name in kind.__required_keys__ for name in kind.__annotations__}, known)
    raise TypeError(f"no input is decoded as {kind!r}: take a dataclass, a TypedDict, a JSON type or Any")


def _plain(kind: Any) -> Decode:
    name, fits = PLAIN[kind]

    def decode(value: Any, where: str) -> Any:
        if not fits(value):
            raise _wrong(where, name, value)
        return float(value) if kind is float else value

    return decode


def _list(of: Decode) -> Decode:
    whole = _plain(list)
    return lambda value, where: [of(item, f"{where}[{at}]") for at, item in enumerate(whole(value, where))]


def _dict(of: Decode) -> Decode:
    whole = _plain(dict)
    return lambda value, where: {
        name: of(item, f"{where}.{name}") for name, item in whole(value, where).items()
    }


def _union(of: list[Decode]) -> Decode:
    def decode(value: Any, where: str) -> Any:
        errors = []
        for one in of:
            try:
                return one(value, where)
            except ValueError as error:
                errors.append(str(error))
        raise ValueError(", or ".join(dict.fromkeys(errors)))

    return decode


def _one_of(values: Sequence[Any], make: Callable[[Any], Any]) -> Decode:
    def decode(value: Any, where: str) -> Any:
        # By type, too: for Python `1 == True`.
        if not any(type(value) is type(one) and value == one for one in values):
            raise _wrong(where, " or ".join(map(repr, values)), value)
        return make(value)

    return decode


def _object(kind: Any, required: Mapping[str, bool], known: dict[Any, Decode]) -> Decode:
    """``required`` says of each field whether it must be there."""
    whole = _plain(dict)
    fields: dict[str, Decode] = {}

    def decode(value: Any, where: str) -> Any:
        found = whole(value, where)
        for name, needed in required.items():
            if needed and name not in found:
                raise ValueError(f"{where}.{name}: is missing")
        return kind(
            **{name: of(found[name], f"{where}.{name}") for name, of in fields.items() if name in found}
        )

    known[kind] = decode
    hints = get_type_hints(kind)
    fields.update({name: _decoder(hints[name], known) for name in required})
    return decode


def _dataclass_fields(kind: Any) -> dict[str, bool]:
    missing = dataclasses.MISSING
    return {
        field.name: field.default is missing and field.default_factory is missing
        for field in dataclasses.fields(kind)
        if field.init
    }


def _wrong(where: str, expected: str, value: Any) -> ValueError:
    # What the value is stays out of the message: inputs may hold secrets. Its type does not.
    found = next(name for name, fits in PLAIN.values() if fits(value))
    return ValueError(f"{where}: expected {expected}, found {found}")
