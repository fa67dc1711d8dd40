"""What becomes of values on their way: inputs as types, texts and errors within the protocol's bounds."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import pytest

from longrun import PermanentError, RetryableError
from longrun.backoff import FIRST, LONGEST, Backoff
from longrun.encode import clean, cut, to_json
from longrun.handler.decode import decoder
from longrun.handler.errors import of_exception
from longrun.handler.held import Key
from longrun.worker.outbox import Outbox
from longrun.worker.report import Report, of_refused


class Color(enum.Enum):
    RED = "red"


class Size(TypedDict, total=False):
    width: int


@dataclass
class Page:
    number: int
    parts: list[Page] = field(default_factory=list)
    size: Size | None = None
    scale: float = 1.0
    color: Color = Color.RED
    mode: Literal["fast", 1] = "fast"
    more: Any = None
    made: str = field(default="here", init=False)


def test_an_input_becomes_what_its_type_says() -> None:
    decode = decoder(Page)
    value = {
        "number": 1,
        "parts": [{"number": 2}],
        "size": {"width": 3},
        "scale": 2,
        "color": "red",
        "new": 0,
    }
    page = decode(value, "input")
    assert page == Page(1, [Page(2)], {"width": 3}, 2.0)
    assert isinstance(page.scale, float) and page.color is Color.RED
    assert decoder(dict[str, list[int]])({"a": [1]}, "input") == {"a": [1]}
    # Older spellings are read, too.
    assert decoder(Optional[Mapping[str, Any]])(None, "input") is None  # noqa: UP045
    assert decoder(Union[Sequence[int], str])("a", "input") == "a"  # noqa: UP007
    assert decoder(Annotated[int, "pages"])(4, "input") == 4
    assert decoder(None)(None, "input") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "input: expected an object, found null"),
        ({}, "input.number: is missing"),
        ({"number": True}, "input.number: expected an integer, found true or false"),
        ({"number": 1.0}, "input.number: expected an integer, found a number"),
        ({"number": 1, "scale": "1"}, "input.scale: expected a number, found a text"),
        ({"number": 1, "parts": [{"number": 1}, {}]}, "input.parts[1].number: is missing"),
        ({"number": 1, "size": {"width": []}}, "input.size.width: expected an integer, found a list"),
        ({"number": 1, "mode": True}, "input.mode: expected 'fast' or 1, found true or false"),
        ({"number": 1, "color": "blue"}, "input.color: expected 'red', found a text"),
    ],
)
def test_a_wrong_input_is_told_by_its_place(value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        decoder(Page)(value, "input")
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [set[int], complex, tuple[int, int], dict[int, str], type])
def test_a_type_that_json_has_not_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(TypeError, match="dataclass"):
        decoder(kind)


def test_a_text_holds_nothing_that_the_protocol_refuses() -> None:
    assert (clean("a\0b"), clean("a\udcffb")) == ("a\ufffdb", "a?b")
    assert cut("ä" * 100, 21) == "ä" * 10


@pytest.mark.parametrize("text", ["x", "ä", "\u0001", '"', "𝄞", "\u2028"])
def test_an_error_fits_the_protocol_whatever_is_in_it(text: str) -> None:
    sent = json.loads(of_refused(Key("a", 1), text * 90_000).body)
    size = len(to_json(sent["error"]))
    assert 15 * 1024 < size <= 16 * 1024


def test_values_are_written_as_small_as_they_are() -> None:
    assert to_json({"ä": [Page(1), True]}).startswith('{"ä":[{"number":1,"parts":[],'.encode())
    circle: list[Any] = []
    circle.append(circle)
    for value in (object(), float("inf"), {1, 2}, "\ud800", circle, {(1, 2): 3}):
        with pytest.raises(ValueError):
            to_json(value)


def test_only_a_retryable_error_has_a_time_to_wait() -> None:
    assert RetryableError("upstream", "busy", after=0.2).after == 1
    assert RetryableError("upstream", "busy", after=float("nan")).after is None
    assert RetryableError("", "unnamed").code == "handlerError"
    error = PermanentError("no", "never")
    assert of_exception(error) is error


def test_a_batch_has_at_most_a_thousand_reports_and_eight_mebibytes() -> None:
    outbox = Outbox()
    outbox.push(*(Report(Key(str(n), 1), "Completed", b"{}") for n in range(1500)))
    first = outbox.batch()
    assert (len(first), len(outbox), outbox.ends()) == (1000, 500, 500)
    outbox.put_back(first)
    assert [report.key.id for report in outbox.batch()[:2]] == ["0", "1"]
    outbox = Outbox()
    outbox.push(*(Report(Key(str(n), 1), "Completed", b"x" * 250 * 1024) for n in range(100)))
    sizes = []
    while outbox:
        sizes.append(sum(len(report.body) for report in outbox.batch()))
    assert sum(sizes) == 100 * 250 * 1024 and max(sizes) < 8 * 1024 * 1024


def test_delays_grow_to_two_seconds_and_are_never_shorter_than_asked() -> None:
    backoff = Backoff()
    delays = [backoff.delay() for _ in range(12)]
    assert FIRST / 2 <= delays[0] <= FIRST and LONGEST / 2 <= delays[-1] <= LONGEST
    assert 3 <= Backoff().delay(3) <= 3 + FIRST
    assert Backoff().delay(86_400) <= 60 + FIRST
