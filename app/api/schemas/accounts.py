"""Schemas of the account routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from app.api.schemas.bodies import JsonBody
from app.domain.accounts import Profile, Tokens
from app.domain.images import Quota, Usage
from app.domain.text import clean_line


class RegisterBody(JsonBody):
    email: Annotated[str, StringConstraints(max_length=254)] = Field(examples=["ada@example.com"])
    password: str = Field(
        examples=["correct horse battery"], description="8 to 128 characters. Common passwords are refused."
    )
    display_name: Annotated[str, StringConstraints(max_length=100), AfterValidator(clean_line)] | None = Field(
        None, examples=["Ada"]
    )
    invitation: Annotated[str, StringConstraints(max_length=1000)] | None = Field(
        None, description="The invitation, if the service requires one (`REGISTRATION=invite`)."
    )


class TokenForm(BaseModel):
    """The OAuth 2.0 password form (RFC 6749 section 4.3.2). Client credentials and scopes are ignored."""

    model_config = ConfigDict(extra="ignore")

    username: Annotated[str, StringConstraints(max_length=254)] = Field(
        description="The email address.", examples=["ada@example.com"]
    )
    password: str = Field(examples=["correct horse battery"])


class RefreshBody(BaseModel):
    refresh_token: str


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
    reserved_bytes: int = Field(description="The announced size of the open direct uploads.")
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
