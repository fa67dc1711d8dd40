"""What can go wrong between a program and the server.

All of it is a ``LongrunError``, with a code for programs. The refined ones are those that a caller catches:
nothing was heard, the time is over, it is not there, it stands otherwise than expected, or nobody may.
"""

from __future__ import annotations


class LongrunError(Exception):
    """A call came to nothing.

    ``status`` is the answer's HTTP status, ``None`` where there was no answer of the protocol; ``code`` is
    for programs, ``message`` for people, ``target`` the field it is about; ``request_id`` finds the request
    in the server's log; ``retry_after`` are the seconds that the server asks to wait before another try.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "unknown",
        status: int | None = None,
        target: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.target = target
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}" if self.status else self.message

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later: the server was not able to.

        After a 5xx to a write it is not known whether it was carried out, so only a request that is safe to
        repeat may be repeated.
        """
        return self.status in (408, 429) or (self.status is not None and self.status >= 500)


class UnreachableError(LongrunError):
    """No answer came, or only a part of one. Whether the server acted on the request is unknown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unreachable")

    @property
    def is_transient(self) -> bool:
        return True


class DeadlineError(LongrunError, TimeoutError):
    """The time for the call was over. Whether the server acted on the request is unknown."""

    def __init__(self, message: str = "the time for the call is over") -> None:
        super().__init__(message, code="deadline")


class InvalidAnswerError(LongrunError):
    """The server's answer is not of the protocol; often it is a proxy's."""

    def __init__(self, message: str) -> None:
        super().__init__(f"the server's answer is not of the protocol: {message}", code="invalidAnswer")


class NotFoundError(LongrunError):
    """There is no such operation, or it is another tenant's."""


class ConflictError(LongrunError):
    """The operation stands otherwise than the request needs, or its key was used for another one."""


class DeniedError(LongrunError):
    """The token is missing, revoked or too narrow (401, 403)."""


class UndeliveredError(LongrunError):
    """A worker was shut down while the server could not be reached: ``reports`` were not delivered.

    Their operations come back when their leases end.
    """

    def __init__(self, reports: int) -> None:
        super().__init__(
            f"{reports} reports could not be delivered before the worker ended", code="undelivered"
        )
        self.reports = reports


_BY_STATUS: dict[int, type[LongrunError]] = {
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    422: ConflictError,
}


def refused(
    status: int,
    code: str,
    message: str,
    *,
    target: str | None = None,
    request_id: str | None = None,
    retry_after: float | None = None,
) -> LongrunError:
    """The error for an answer of this status."""
    kind = _BY_STATUS.get(status, LongrunError)
    return kind(
        message, code=code, status=status, target=target, request_id=request_id, retry_after=retry_after
    )
