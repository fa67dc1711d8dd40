"""What became of the operations of a worker."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Counts since the worker began. An end counts once the server has confirmed it."""

    claimed: int = 0
    """Operations taken under a lease."""
    completed: int = 0
    """Ended well."""
    failed: int = 0
    """Attempts that failed, to be tried again or not."""
    released: int = 0
    """Handed back."""
    lost: int = 0
    """Whose lease ended without this worker's doing, or whose report the server refused."""
