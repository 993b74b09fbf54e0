"""Schemas of the account routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.api.schemas.bodies import JsonBody
from app.domain.accounts import Profile, Session, Tokens
from app.domain.images import Quota, Usage
from app.domain.text import clean_line

Email = Annotated[str, StringConstraints(max_length=254)]
DisplayName = Annotated[str, StringConstraints(max_length=100), AfterValidator(clean_line)]
NewPassword = Annotated[
    str, Field(examples=["correct horse battery"], description="8 to 128 characters. Common passwords are refused.")
]


class RegisterBody(JsonBody):
    email: Email = Field(examples=["ada@example.com"])
    password: NewPassword
    display_name: DisplayName | None = Field(None, examples=["Ada"])
    invitation: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        None, description="The invitation, if the service requires one (`REGISTRATION=invite`)."
    )


class TokenForm(BaseModel):
    """The OAuth 2.0 password form (RFC 6749 section 4.3.2). Client credentials and scopes are ignored."""

    model_config = ConfigDict(extra="ignore")

    username: Email = Field(description="The email address.", examples=["ada@example.com"])
    password: str = Field(examples=["correct horse battery"])


class RefreshBody(BaseModel):
    refresh_token: str


class AccountChanges(JsonBody):
    display_name: DisplayName | None = Field(None, examples=["Ada"], description="Null removes the name.")
    password: NewPassword | None = None
    current_password: str | None = Field(None, description="Required to change the password.")

    @model_validator(mode="after")
    def _require_current_password(self) -> Self:
        if self.password is not None and self.current_password is None:
            raise ValueError("To change the password, send current_password too.")
        return self


class DeletionBody(JsonBody):
    password: str | None = Field(None, description="Required if you signed in more than five minutes ago.")


class PasswordResetBody(JsonBody):
    email: Email = Field(examples=["ada@example.com"])


class PasswordResetConfirmation(JsonBody):
    token: Annotated[str, StringConstraints(max_length=200)] = Field(description="The part of the link after `reset=`.")
    password: NewPassword


class SessionView(BaseModel):
    id: str
    is_current: bool = Field(description="Whether the access token of this request belongs to this session.")
    user_agent: str | None = Field(description="The `User-Agent` of the sign-in.")
    created_at: datetime | None = Field(description="When the user signed in. Null for sessions of earlier versions.")
    last_used_at: datetime | None = Field(description="When the tokens were last refreshed.")
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, *, current_id: str | None) -> Self:
        return cls(
            id=session.id,
            is_current=session.id == current_id,
            user_agent=session.user_agent,
            created_at=session.created_at,
            last_used_at=session.refreshed_at or session.created_at,
            expires_at=session.expires_at,
        )


class SessionList(BaseModel):
    sessions: list[SessionView] = Field(description="At most 100, the most recently used first.")


class TokenView(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds.", examples=[1800])
    refresh_token: str = Field(description="Valid for one exchange, which returns the next one.")

    @classmethod
    def of(cls, tokens: Tokens) -> Self:
        return cls(access_token=tokens.access_token, expires_in=tokens.expires_in, refresh_token=tokens.refresh_token)


class UserView(BaseModel):
    id: str
    email: str | None
    display_name: str | None
    created_at: datetime | None = Field(description="Null with `AUTH=firebase` and no `FIREBASE_API_KEY`.")


class RegisteredView(TokenView):
    user: UserView

    @classmethod
    def of_new(cls, profile: Profile, tokens: Tokens) -> Self:
        return cls(user=UserView.model_validate(profile, from_attributes=True), **TokenView.of(tokens).model_dump())


class LimitView(BaseModel):
    images: int | None = Field(description="Null means unlimited.")
    bytes: int | None = Field(description="Null means unlimited.")


class UsageView(BaseModel):
    images: int
    bytes: int = Field(description="The total size of the originals.")
    reserved_bytes: int = Field(description="The announced size of the open direct and resumable uploads.")
    limit: LimitView


class MeView(UserView):
    usage: UsageView

    @classmethod
    def of(cls, profile: Profile, usage: Usage, quota: Quota) -> Self:
        limit = LimitView(images=quota.images or None, bytes=quota.bytes or None)
        return cls(
            id=profile.id,
            email=profile.email,
            display_name=profile.display_name,
            created_at=profile.created_at,
            usage=UsageView(images=usage.images, bytes=usage.bytes, reserved_bytes=usage.reserved_bytes, limit=limit),
        )
