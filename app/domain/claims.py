"""Claims: the right to create the result of a request or of a background job exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """The right to create the result of a request that has an idempotency key."""

    key: str
    result_id: str
    """The id of the image, upload or job that the request creates."""


@dataclass(frozen=True, slots=True)
class JobClaim:
    """The right of one attempt at a background job to write the job's results."""

    job_id: str
    claim: str


Claim = RequestClaim | JobClaim


class ClaimLost(Exception):
    """Another process holds the claim now. Nothing was written."""


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """A request with an idempotency key: in progress, or done.

    `fingerprint` tells a repeated request from a different one under the same key. The process that handles the request
    changes `leased_until` every few seconds. Other processes compare it with the value that they read before, never
    with a clock: if it does not change for the length of the lease, the request was abandoned.
    """

    owner_id: str
    key: str
    fingerprint: str
    result_id: str
    done: bool
    leased_until: datetime
    expires_at: datetime

    @property
    def claim(self) -> RequestClaim:
        return RequestClaim(self.key, self.result_id)
