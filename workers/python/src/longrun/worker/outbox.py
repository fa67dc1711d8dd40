"""Ends of attempts that are to be told, in their order, and in calls that the server takes."""

from __future__ import annotations

from collections import deque

from .report import Report

# The protocol's bound on the reports of one call.
REPORTS_MAX = 1000
# The protocol's bound on the body is 8 MiB; this leaves room for the rest of it.
BATCH_BYTES_MAX = 7 * 1024 * 1024


class Outbox:
    """Reports that wait for a call to take them along."""

    def __init__(self) -> None:
        self._reports: deque[Report] = deque()

    def push(self, *reports: Report) -> None:
        """Adds reports after all others."""
        self._reports.extend(reports)

    def put_back(self, reports: list[Report]) -> None:
        """Puts reports that were not delivered back, before everything else."""
        self._reports.extendleft(reversed(reports))

    def __len__(self) -> int:
        return len(self._reports)

    def ends(self) -> int:
        """How many ends of attempts wait to be told."""
        return sum(report.status != "Running" for report in self._reports)

    def batch(self) -> list[Report]:
        """Takes one call's worth of reports."""
        batch: list[Report] = []
        size = 0
        while self._reports and len(batch) < REPORTS_MAX:
            size += len(self._reports[0].body) + 1
            if size > BATCH_BYTES_MAX and batch:
                break
            batch.append(self._reports.popleft())
        return batch
