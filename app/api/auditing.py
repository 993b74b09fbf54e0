"""Records successful requests in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from app.api.services import Services
from app.domain.accounts import User

_FIRST_ERROR = 400
_CLOSED = "account.closed"
ACTIONS = {
    "register": "account.registered",
    "sign_in": "session.started",
    "sign_out": "session.ended",
    "end_session": "session.ended",
    "end_other_sessions": "session.others_ended",
    "change_account": "account.changed",
    "confirm_password_reset": "account.password_reset",
    "export_account": "account.exported",
    "delete_account": _CLOSED,
    "delete_user": _CLOSED,
    "upload_image": "image.uploaded",
    "complete_upload": "image.uploaded",
    "create_resumable_upload": "image.uploaded",
    "send_resumable_upload": "image.uploaded",
    "override_method": "image.uploaded",
    "fetch_image": "image.fetched",
    "update_image": "image.changed",
    "delete_image": "image.deleted",
    "delete_images": "image.deleted",
    "download_images": "image.downloaded",
    "create_share": "share.created",
    "change_share": "share.changed",
    "revoke_share": "share.revoked",
    "create_webhook": "webhook.created",
    "change_webhook": "webhook.changed",
    "delete_webhook": "webhook.deleted",
    "rotate_webhook_secret": "webhook.secret_rotated",
    "redeliver_event": "webhook.redelivered",
}
"""The action that is recorded for each route function. Requests to other routes are not recorded."""


class AuditedRoute(APIRoute):
    """A route that records each successful request if ACTIONS contains its function."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        action = ACTIONS.get(self.name)
        if action is None:
            return handle

        async def handle_audited(request: Request) -> Response:
            response = await handle(request)
            if response.status_code < _FIRST_ERROR:
                await _record(request, action)
            return response

        return handle_audited


def set_audited(request: Request, *, user: User | None = None, targets: Sequence[str] | None = None) -> None:
    """Record another user than the authenticated one, or other targets than the id in the path."""
    if user is not None:
        request.state.user = user
    if targets is not None:
        request.state.audit_targets = targets


async def _record(request: Request, action: str) -> None:
    services: Services = request.app.state.services
    user: User | None = getattr(request.state, "user", None)
    actor: str = getattr(request.state, "actor", f"user:{user.id}" if user else "")
    in_path = next(iter(request.path_params.values()), None)
    targets: Sequence[str | None] = getattr(request.state, "audit_targets", [in_path])
    # Only ids are kept of a deleted account, and its deletion may be finished before this entry is written.
    address = request.client.host if request.client and action != _CLOSED else None
    await asyncio.gather(
        *(
            services.audit.record(
                action, actor=actor, owner_id=user.id if user else None, target=target, address=address
            )
            for target in targets
        )
    )
