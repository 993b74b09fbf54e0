"""Schemas of the admin routes."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.services.user_administration import UserDetails


class UserUsage(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    images: int
    bytes: int = Field(description="The total size of the originals.")


class ManagedUserView(BaseModel):
    id: str
    email: str | None = Field(description="Null if Firebase manages the account.")
    display_name: str | None
    created_at: datetime | None = Field(description="Null if Firebase manages the account.")
    disabled_at: datetime | None = Field(description="When an operator disabled the account.")
    is_closed: bool = Field(description="Whether everything of the user is being deleted.")
    usage: UserUsage

    @classmethod
    def of(cls, user: UserDetails) -> Self:
        account = user.account
        return cls(
            id=user.id,
            email=account.email if account else None,
            display_name=account.display_name if account else None,
            created_at=account.created_at if account else None,
            disabled_at=user.disabled_at,
            is_closed=user.is_closed,
            usage=UserUsage.model_validate(user.usage),
        )


class UserPageView(BaseModel):
    items: list[ManagedUserView]
    next_cursor: str | None = Field(description="Null on the last page.")


class UserDeletionView(BaseModel):
    job_id: str = Field(
        description="The job that deletes everything of the user. `GET /admin/users/{id}` is 404 after it."
    )


class AuditEntryView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    at: datetime
    actor: str = Field(description="`user:<id>`, `key:<id>`, or `operator` for the command line.")
    action: str = Field(examples=["image.deleted"])
    owner_id: str | None = Field(description="The user whose account or image it concerns.")
    target: str | None = Field(description="The id of the image, session, job or key.")
    address: str | None = Field(description="The network address of the client. Null after the account was deleted.")


class AuditPageView(BaseModel):
    items: list[AuditEntryView] = Field(description="Newest first. May be empty although there are more pages.")
    next_cursor: str | None = Field(description="Null on the last page.")
