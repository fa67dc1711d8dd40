"""Lists: page after page, each from where the one before ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..errors import InvalidAnswerError
from ..transport import Answer
from ..wire import Operation, Page, read

SKIP_TOKEN = "$skiptoken"


def quoted(text: str) -> str:
    """A text as a literal of a filter: ``f"labels/customer eq {quoted(name)}"`` is right for any name."""
    return "'" + text.replace("'", "''") + "'"


def count_path(filter: str | None) -> str:
    """The path that counts what the filter lets through."""
    return _path("/v1.0/operations/$count", [("$filter", filter)])


class Pages:
    """The pages of a list, read one by one as they are iterated over, once."""

    def __init__(
        self,
        get: Callable[[str], Awaitable[Answer]],
        filter: str | None,
        oldest_first: bool,
        page_size: int | None,
        select: Sequence[str],
        count: bool,
    ) -> None:
        # How an operation stands is part of every one.
        fields = ["status", *(name for name in select if name != "status")] if select else []
        self._get = get
        self._query = [
            ("$filter", filter),
            ("$orderby", "createdDateTime asc" if oldest_first else None),
            ("$top", None if page_size is None else str(page_size)),
            ("$select", ",".join(fields) or None),
            ("$count", "true" if count else None),
        ]
        self._after: str | None = None
        self._over = False

    def __aiter__(self) -> Pages:
        return self

    async def __anext__(self) -> Page:
        if self._over:
            raise StopAsyncIteration
        body = (await self._get(_path("/v1.0/operations", [*self._query, (SKIP_TOKEN, self._after)]))).json()
        if not isinstance(body, dict) or not isinstance(body.get("value"), list):
            raise InvalidAnswerError("a page was expected")
        link = body.get("@odata.nextLink")
        self._after = None if link is None else _token(str(link))
        self._over = link is None
        value = [read(Operation, operation) for operation in body["value"]]
        return Page(value=value, count=body.get("@odata.count"))

    async def operations(self) -> AsyncIterator[Operation]:
        """Every operation of every page."""
        async for page in self:
            for operation in page:
                yield operation


def _path(of: str, query: Sequence[tuple[str, str | None]]) -> str:
    encoded = urlencode([(name, value) for name, value in query if value is not None], safe="$")
    return f"{of}?{encoded}" if encoded else of


def _token(link: str) -> str:
    """Where the next page begins.

    The link may lead through another host than the one this client was given, and the client's token is for
    that one only; so nothing but this is taken from it.
    """
    for name, value in parse_qsl(urlsplit(link).query):
        if name == SKIP_TOKEN:
            return value
    raise InvalidAnswerError("a next link without a $skiptoken")
