"""Delivers events to webhook endpoints, in background jobs, signed as in Standard Webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

import structlog
from cachetools import TTLCache

from app.domain.errors import WebhookDeliveryMissing, WebhookDisabled, WebhookTimedOut, WebhookUndelivered
from app.domain.events import MAX_ENDPOINTS, SECRET_PREFIX, Event, WebhookEndpoint, endpoint_of
from app.domain.jobs import Job, JobError
from app.jobs.attempt import Attempt
from app.jobs.event_dispatch import DELIVERY_JOB_KIND
from app.jobs.registry import JobResult, JobSpec
from app.ports.clock import Clock
from app.ports.webhook_sender import WebhookSender
from app.ports.webhook_tables import EventTable, WebhookEndpointTable
from app.services.audit import SERVICE, AuditLog

_PAUSE_SECONDS = 30
"""For how long this process does not connect to an endpoint that did not respond in time."""
_SUCCESS = range(200, 300)
_GONE = 410

_log = structlog.stdlib.get_logger(__name__)


class WebhookDeliveries:
    def __init__(
        self,
        *,
        events: EventTable,
        endpoints: WebhookEndpointTable,
        sender: WebhookSender,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._events = events
        self._endpoints = endpoints
        self._sender = sender
        self._audit = audit
        self._clock = clock
        # Without these pauses, the deliveries to one slow endpoint would occupy the worker.
        self._paused: TTLCache[str, bool] = TTLCache(MAX_ENDPOINTS, ttl=_PAUSE_SECONDS)

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind=DELIVERY_JOB_KIND, label="Delivering an event", handler=self, result=_job_result, is_delivery=True
        )

    async def run(self, attempt: Attempt) -> None:
        """Send the event. Without the endpoint, nothing is left to do.

        Raises WebhookUndelivered, WebhookDisabled and WebhookDeliveryMissing.
        """
        endpoint = await self._endpoints.find_endpoint(endpoint_of(attempt.job.owner_id))
        if endpoint is None:
            return
        if endpoint.disabled_at:
            raise WebhookDisabled
        event = await self._events.find_event(attempt.job.event_id or "")
        if event is None:
            raise WebhookDeliveryMissing
        status = await self._send(endpoint, event)
        if status == _GONE:
            await self._disable(endpoint, reason="The endpoint responded that it is gone (status 410).")
            raise WebhookDisabled
        if status not in _SUCCESS:
            raise WebhookUndelivered(f"The endpoint responded with status {status}.")

    async def give_up(self, job: Job, error: JobError) -> None:
        """Disable the endpoint after a day of failures."""
        if error.code != WebhookUndelivered.code:
            return
        endpoint = await self._endpoints.find_endpoint(endpoint_of(job.owner_id))
        if endpoint is not None and endpoint.disabled_at is None:
            await self._disable(endpoint, reason=error.detail)

    async def _send(self, endpoint: WebhookEndpoint, event: Event) -> int:
        if endpoint.id in self._paused:
            raise WebhookUndelivered("The endpoint did not respond to another delivery a moment ago.")
        now, body = self._clock(), event.body.encode()
        headers = {
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": sign(endpoint.signing_secrets(now), event.id, now, body),
        }
        try:
            return await self._sender.send(endpoint.url, headers=headers, body=body)
        except WebhookTimedOut:
            self._paused[endpoint.id] = True
            raise

    async def _disable(self, endpoint: WebhookEndpoint, *, reason: str) -> None:
        await self._endpoints.edit_endpoint(endpoint.id, changes={"disabled_at": self._clock()})
        await self._audit.record("webhook.disabled", actor=SERVICE, target=endpoint.id)
        _log.error("webhook.disabled", endpoint_id=endpoint.id, reason=reason)


def sign(secrets: Sequence[str], event_id: str, at: datetime, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature for each secret."""
    signed = f"{event_id}.{int(at.timestamp())}.".encode() + body
    keys = (base64.b64decode(secret.removeprefix(SECRET_PREFIX)) for secret in secrets)
    digests = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in digests)


async def _job_result(_job: Job) -> JobResult:
    return JobResult()
