"""Every error that a client can receive: a class with a stable code, an HTTP status and a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field. `field` is a dotted path such as `body.email`."""

    field: str
    message: str


class AppError(Exception):
    """The base class of all errors.

    `detail` is one or two sentences for the user. `retry_after` is in seconds.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    default_detail: ClassVar[str] = ""

    def __init__(
        self, detail: str | None = None, *, retry_after: int | None = None, errors: Sequence[FieldError] = ()
    ) -> None:
        self.detail = detail or self.default_detail or self.title
        self.retry_after = retry_after
        self.errors = tuple(errors)
        super().__init__(self.detail)


# Authentication and accounts


class TokenMissing(AppError):
    code, status, title = "token_missing", 401, "Token missing"
    default_detail = "Send an access token in the header Authorization: Bearer <token>."


class TokenInvalid(AppError):
    code, status, title = "token_invalid", 401, "Token invalid"
    default_detail = "The access token was not issued for this service, or was modified. Sign in again."


class OwnerClosed(AppError):
    """The account was closed while the request was being handled."""

    code, status, title = "token_invalid", 401, "Token invalid"
    default_detail = "The account of this access token was closed."


class TokenExpired(AppError):
    code, status, title = "token_expired", 401, "Token expired"
    default_detail = "The access token has expired. Get a new one with your refresh token."


class ServerKeyInvalid(AppError):
    code, status, title = "server_key_invalid", 401, "Server key invalid"
    default_detail = (
        "The server key is unknown or was revoked, or the route requires a server key. An operator creates one with "
        "`python -m app keys create`."
    )


class ServerKeyRefused(AppError):
    code, status, title = "server_key_refused", 403, "Server key refused"
    default_detail = "This server key does not have the scope that the route needs."


class ServerKeyMissing(AppError):
    code, status, title = "server_key_not_found", 404, "Server key not found"
    default_detail = "There is no server key with this id."


class WebhookMissing(AppError):
    code, status, title = "webhook_not_found", 404, "Webhook endpoint not found"
    default_detail = "There is no webhook endpoint with this id."


class WebhookDeliveryMissing(AppError):
    code, status, title = "webhook_delivery_not_found", 404, "Delivery not found"
    default_detail = "There is no delivery with this id, or its event is older than 30 days."


class WebhookUrlRefused(AppError):
    code, status, title = "webhook_url_refused", 422, "Webhook URL refused"
    default_detail = "The URL of a webhook endpoint must be valid and begin with https://."


class WebhookLimitReached(AppError):
    code, status, title = "webhook_limit_reached", 409, "Too many webhook endpoints"
    default_detail = "There may be 20 webhook endpoints. Remove one that is no longer used."


class WebhookDisabled(AppError):
    code, status, title = "webhook_disabled", 409, "Webhook endpoint disabled"
    default_detail = "The webhook endpoint is disabled. Enable it, and deliver the event again."


class WebhookUndelivered(AppError):
    """The error of a delivery. It is retried for a day."""

    code, status, title = "webhook_undelivered", 502, "Event not delivered"
    default_detail = "The webhook endpoint did not confirm the event."


class WebhookTimedOut(WebhookUndelivered):
    default_detail = "The endpoint did not respond within ten seconds."


class UserMissing(AppError):
    code, status, title = "user_not_found", 404, "User not found"
    default_detail = "There is no user with this id."


class AppCheckFailed(AppError):
    code, status, title = "app_check_failed", 401, "App Check failed"
    default_detail = (
        "This service accepts requests of genuine apps only. Send a valid Firebase App Check token in the header "
        "X-Firebase-AppCheck."
    )


class CredentialsInvalid(AppError):
    code, status, title = "credentials_invalid", 401, "Sign-in failed"
    default_detail = "The email address or the password is wrong."


class RefreshTokenInvalid(AppError):
    code, status, title = "refresh_token_invalid", 401, "Refresh token invalid"
    default_detail = "The refresh token is unknown, was already used, or has expired. Sign in again."


class AccountDisabled(AppError):
    code, status, title = "account_disabled", 403, "Account disabled"
    default_detail = "This account was disabled by an administrator."


class SignInAgain(AppError):
    code, status, title = "sign_in_again", 403, "Sign in again"
    default_detail = "This action requires a recent sign-in. Sign in again, then repeat the action."


class PasswordIncorrect(AppError):
    """The request has a valid token, so that 401 would make clients refresh the token and repeat the request."""

    code, status, title = "password_incorrect", 403, "Password incorrect"
    default_detail = "The current password is incorrect."


class SessionMissing(AppError):
    code, status, title = "session_not_found", 404, "Session not found"
    default_detail = "You have no session with this id. It may have ended already."


class PasswordResetInvalid(AppError):
    code, status, title = "password_reset_invalid", 403, "Password reset link invalid"
    default_detail = "The link to reset the password is invalid, has expired, or was used before. Request a new one."


class PasswordResetUnavailable(AppError):
    code, status, title = "password_reset_unavailable", 409, "Password reset unavailable"
    default_detail = "This service cannot send email. Ask its operator for a link to reset your password."


class AccountsExternal(AppError):
    code, status, title = "accounts_external", 409, "Accounts are managed by Firebase"
    default_detail = "This service does not store accounts. Change the account with the Firebase SDK."


class RegistrationClosed(AppError):
    code, status, title = "registration_closed", 403, "Registration closed"
    default_detail = "Registration by email address and password is not enabled for this service."


class InvitationRequired(AppError):
    code, status, title = "invitation_required", 403, "Invitation required"
    default_detail = "Registration requires an invitation. Ask the operator of this service for one."


class InvitationInvalid(AppError):
    code, status, title = "invitation_invalid", 403, "Invitation invalid"
    default_detail = "The invitation was not issued by this service. Ask for a new one."


class EmailTaken(AppError):
    code, status, title = "email_taken", 409, "Email address taken"
    default_detail = "An account with this email address already exists."


class EmailInvalid(AppError):
    code, status, title = "email_invalid", 422, "Email address invalid"
    default_detail = "The email address is invalid. Enter it in the form name@example.com."


class PasswordWeak(AppError):
    code, status, title = "password_weak", 422, "Password too weak"
    default_detail = "The password is too short, too long, common, or part of the email address. Choose another one."


class TooManyAttempts(AppError):
    code, status, title = "too_many_attempts", 429, "Too many attempts"
    default_detail = "There were too many attempts. Wait for the time in Retry-After, then try again."


# The request


class RouteMissing(AppError):
    code, status, title = "not_found", 404, "Not found"
    default_detail = "This path does not exist."


class MethodNotAllowed(AppError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"
    default_detail = "This path does not support the method of the request."


class JsonInvalid(AppError):
    code, status, title = "json_invalid", 400, "JSON invalid"
    default_detail = "The body is not valid JSON."


class RequestInvalid(AppError):
    code, status, title = "request_invalid", 422, "Request invalid"
    default_detail = "The request is invalid. `errors` lists each invalid field."


class RequestMalformed(AppError):
    code, status, title = "request_malformed", 400, "Request malformed"
    default_detail = "The request could not be parsed."


class BodyTooLarge(AppError):
    code, status, title = "body_too_large", 413, "Body too large"
    default_detail = "The body of the request is larger than this path allows."


class BodyTooSlow(AppError):
    code, status, title = "body_too_slow", 408, "Body too slow"
    default_detail = "The body of the request arrived too slowly. Send the request again."


class RequestTimeout(AppError):
    code, status, title = "request_timeout", 408, "Request timeout"
    default_detail = "The request line and the headers did not arrive in time. Send the request again."


class TooManyConnections(AppError):
    code, status, title = "too_many_connections", 429, "Too many connections"
    default_detail = "Too many connections of your network address are in use. Close some, then try again."

    def __init__(self, detail: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(detail, retry_after=retry_after)


class TooManyUploads(AppError):
    code, status, title = "too_many_uploads", 429, "Too many uploads"
    default_detail = "Too many of your uploads are in progress. Wait until some have finished, then try again."

    def __init__(self, detail: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(detail, retry_after=retry_after)


class ContentEncodingUnsupported(AppError):
    code, status, title = "content_encoding_unsupported", 415, "Content encoding unsupported"
    default_detail = "The body has a Content-Encoding. Send it uncompressed, without that header."


class DigestMismatch(AppError):
    code, status, title = "digest_mismatch", 400, "Digest mismatch"
    default_detail = "The body that was received does not match the digest in the headers. Send the request again."


class CursorInvalid(AppError):
    code, status, title = "cursor_invalid", 400, "Cursor invalid"
    default_detail = "The cursor was not issued for this list. Request the first page, without a cursor."


class MultipartRequired(AppError):
    code, status, title = "multipart_required", 415, "Multipart form required"
    default_detail = (
        "Send the file as multipart/form-data with a boundary, in a part named `file`, or as the body with the "
        "Content-Type of an image or application/octet-stream."
    )


class MultipartInvalid(AppError):
    code, status, title = "multipart_invalid", 400, "Multipart body malformed"
    default_detail = "The multipart body is malformed or ends too early."


class FileMissing(AppError):
    code, status, title = "file_missing", 422, "No file"
    default_detail = "The form has no file. Send it in a field named `file`."


class FileRepeated(AppError):
    code, status, title = "file_repeated", 422, "More than one file"
    default_detail = "The form has more than one file. Send one file in each request."


class FileEmpty(AppError):
    code, status, title = "file_empty", 422, "File empty"
    default_detail = "The file is empty."


class UploadTooLarge(AppError):
    code, status, title = "upload_too_large", 413, "Upload too large"
    default_detail = "The file is larger than the service accepts. The limit is in the detail of the error."


def file_too_large(max_bytes: int, *, size: int | None = None) -> UploadTooLarge:
    """Return the error for a file of `size` bytes, or of more than `max_bytes` if its size is not known."""
    limit = f"the limit is {_megabytes(max_bytes)}"
    return UploadTooLarge(f"The file is {_megabytes(size)}; {limit}." if size else f"The file is too large; {limit}.")


def _megabytes(size: int) -> str:
    megabyte = 1024 * 1024
    return f"{size:,} bytes" if size < megabyte else f"{size / megabyte:.1f}".removesuffix(".0") + " MB"


class ExportTooLarge(AppError):
    code, status, title = "export_too_large", 413, "Export too large"
    default_detail = (
        "An export is one file of at most 312 GiB, and your images are larger. Download the images one by one: "
        "GET /images lists them."
    )


class UploadMissing(AppError):
    code, status, title = "upload_missing", 404, "No such upload"
    default_detail = "You have no upload with this id, or it has expired. Initiate the upload again."


class TooManyOpenUploads(AppError):
    code, status, title = "too_many_open_uploads", 429, "Too many open uploads"
    default_detail = (
        "You have 100 open direct or resumable uploads, and more are not allowed. Complete or terminate some of them, "
        "or wait until they expire."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=60)


class UploadIncomplete(AppError):
    code, status, title = "upload_incomplete", 409, "Upload not complete"
    default_detail = (
        "The file has not arrived yet. Send it with the form or the URL of the upload, then complete the upload again."
    )


class UploadOffsetMismatch(AppError):
    code, status, title = "upload_offset_mismatch", 409, "Upload-Offset differs"
    default_detail = (
        "Upload-Offset is not the number of bytes that were received. Request that number with HEAD, and send the rest."
    )


class UploadLocked(AppError):
    code, status, title = "upload_locked", 423, "Upload in use"
    default_detail = "Another request is sending bytes of this upload. Retry in a moment."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=2)


class ChecksumMismatch(AppError):
    code, status, title = "checksum_mismatch", 460, "Checksum mismatch"
    default_detail = "The body does not match Upload-Checksum and was discarded. Send it again."


class TusVersionUnsupported(AppError):
    code, status, title = "tus_version_unsupported", 412, "tus version not supported"
    default_detail = "Send the header Tus-Resumable: 1.0.0."


class OffsetStreamRequired(AppError):
    code, status, title = "offset_stream_required", 415, "Content type not supported"
    default_detail = "Send the bytes of a resumable upload with the Content-Type application/offset+octet-stream."


class UploadMismatch(AppError):
    code, status, title = "upload_mismatch", 422, "Upload differs from its description"
    default_detail = "The uploaded file does not have the declared size or SHA-256, and was deleted."


class FormExpired(AppError):
    code, status, title = "form_expired", 403, "Form expired"
    default_detail = "The form has expired. Initiate the upload again."


class FormInvalid(AppError):
    code, status, title = "form_invalid", 403, "Form invalid"
    default_detail = (
        "The form was modified after it was signed, or the file differs from the one that it was signed for."
    )


class IdempotencyKeyInvalid(AppError):
    code, status, title = "idempotency_key_invalid", 400, "Idempotency-Key invalid"
    default_detail = "An Idempotency-Key must have 1 to 255 printable ASCII characters."


class IdempotencyKeyReused(AppError):
    code, status, title = "idempotency_key_reused", 422, "Idempotency-Key reused"
    default_detail = "This Idempotency-Key was used for another request. Use a new one."


class RequestInProgress(AppError):
    code, status, title = "request_in_progress", 409, "Request in progress"
    default_detail = "The same request is still being processed. Retry in a moment."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=2)


# The image


class FormatUnsupported(AppError):
    code, status, title = "format_unsupported", 415, "Format not supported"
    default_detail = "The content of the file is in none of the supported image formats."


class ImageCorrupt(AppError):
    code, status, title = "image_corrupt", 422, "Image damaged"
    default_detail = "The image is damaged or incomplete and cannot be decoded."


class ImageTooLarge(AppError):
    code, status, title = "image_too_large", 422, "Image has too many pixels"
    default_detail = "The image has more pixels or frames than the service accepts. Upload a smaller version."


class ImageTooExpensive(AppError):
    code, status, title = "image_too_expensive", 422, "Image too expensive"
    default_detail = "Decoding the image requires more time or memory than allowed."


class QuotaExceeded(AppError):
    code, status, title = "quota_exceeded", 403, "Quota exceeded"
    default_detail = "Your storage quota is exhausted. Delete images, then try again."


class ImageMissing(AppError):
    code, status, title = "image_missing", 404, "No such image"
    default_detail = "You have no image with this id."


class ImagePending(AppError):
    code, status, title = "image_pending", 409, "Image pending"
    default_detail = "The image has not been scanned yet. Try again in some seconds."


class ShareMissing(AppError):
    code, status, title = "share_missing", 404, "No such share"
    default_detail = "There is no share with this link or id. It may have been revoked, or it has expired."


class SharePasswordRequired(AppError):
    code, status, title = "share_password_required", 403, "Password required"
    default_detail = "This share has a password, and the request has none or a wrong one."


class ScanRejected(AppError):
    """The error of a job: the image was removed."""

    code, status, title = "scan_rejected", 422, "Image rejected by the scanner"
    default_detail = "The scanner of the service rejected the image, so it was removed."


class ThumbnailMissing(AppError):
    code, status, title = "thumbnail_missing", 404, "No such thumbnail"
    default_detail = "This image has no thumbnail of that size."


# Background jobs and product images


class JobMissing(AppError):
    code, status, title = "job_missing", 404, "No such job"
    default_detail = "You have no job with this id, or it finished and its record has expired."


class EanInvalid(AppError):
    code, status, title = "ean_invalid", 422, "EAN invalid"
    default_detail = "The code has a wrong length, an invalid character or a wrong check digit."


class ProductUnknown(AppError):
    code, status, title = "product_unknown", 404, "Product unknown"
    default_detail = "The product catalog does not contain this code."


class ProductImageMissing(AppError):
    code, status, title = "product_image_missing", 404, "Product without an image"
    default_detail = "The product catalog contains this product, but no image of it."


class ImageRejected(AppError):
    """The catalog's image cannot be downloaded, or would be refused as an upload."""

    code, status, title = "image_rejected", 422, "Product image rejected"
    default_detail = "The product image cannot be downloaded, or would be refused as an upload."


class CatalogUnavailable(AppError):
    """The catalog or the host of its images does not respond or limits the rate of requests. A retry may succeed.

    `attempted` is False if no request was sent, because of our own rate limit.
    """

    code, status, title = "catalog_unavailable", 503, "Product catalog unavailable"
    default_detail = "The product catalog is not responding."

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None, attempted: bool = True) -> None:
        self.attempted = attempted
        super().__init__(detail, retry_after=retry_after)


# URLs that the service signs and serves itself


class UrlInvalid(AppError):
    code, status, title = "url_invalid", 403, "URL invalid"
    default_detail = "The URL was not signed by this service, or was modified."


class UrlExpired(AppError):
    code, status, title = "url_expired", 403, "URL expired"
    default_detail = "The URL has expired. Request the image again for a new one."


class ObjectMissing(AppError):
    code, status, title = "object_missing", 404, "File missing"
    default_detail = "The file of this URL no longer exists."


class RangeUnsatisfiable(AppError):
    code, status, title = "range_unsatisfiable", 416, "Range not satisfiable"
    default_detail = "The requested range starts after the end of the file."


# The service


class HostNotAllowed(AppError):
    code, status, title = "host_not_allowed", 421, "Host not allowed"
    default_detail = (
        "The service does not accept requests under this host name. Use its public address. Its operator can set "
        "PUBLIC_URL, or add the host to ALLOWED_HOSTS."
    )


class Overloaded(AppError):
    code, status, title = "overloaded", 503, "Overloaded"
    default_detail = "The service is at capacity. Try again in a moment."

    def __init__(self, detail: str | None = None, *, retry_after: int = 2) -> None:
        super().__init__(detail, retry_after=retry_after)


class DependencyUnavailable(AppError):
    """A dependency of the service did not respond in time, retries included.

    `dependency` is `store`, `table`, `queue`, `accounts`, `renderer`, `disk` or `email`. It is logged, and named in the
    detail.
    """

    code, status, title = "dependency_unavailable", 503, "Temporarily unavailable"
    default_detail = "Something that this service depends on is not responding. Try again shortly."

    def __init__(self, dependency: str, *, retry_after: int = 5) -> None:
        self.dependency = dependency
        super().__init__(
            f"A dependency of the service ({dependency}) is not responding. Try again in a moment.",
            retry_after=retry_after,
        )


class NotReady(AppError):
    code, status, title = "not_ready", 503, "Not ready"
    default_detail = "Some dependencies of the service cannot be used. The detail of the error names them."


class Internal(AppError):
    code, status, title = "internal", 500, "Internal error"
    default_detail = "An error occurred in the service. Report it with the request id."
