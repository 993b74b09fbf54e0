"""What the use cases need of the world outside: each Protocol's docstrings are the contract its adapters keep.

Every method may raise DependencyUnavailable once its retries are used up; that is not said again below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

from app.core.jobs import DueJob, Job, JobMessage, JobStatus
from app.core.models import (
    Account,
    Attempts,
    Claim,
    DirectUpload,
    Discrepancy,
    Image,
    JobClaim,
    LocalObject,
    OnceRecord,
    PostedForm,
    Profile,
    Quota,
    ReconcileState,
    Rendering,
    RequestClaim,
    Session,
    SignedForm,
    SignedUrl,
    StoredObject,
    Tokens,
    Tombstone,
    Usage,
    User,
)
from app.core.products import Product


class ObjectStore(Protocol):
    """Keeps bytes under a key; overwriting is allowed, partial objects are not.

    Keys are `/`-separated parts of letters, digits, `-`, `_` and `.`; every adapter refuses
    any other with ValueError, so that a key cannot name something outside the store.
    """

    async def put_file(self, key: str, file: BinaryIO, *, size: int, sha256: str, content_type: str) -> None:
        """Store `size` bytes of the open `file` from its beginning; durable when this returns.

        Reads with positioned reads only, so that others may read the same file at the same time.
        `sha256` (hex) is that of the content; a store that can, verifies it.
        """
        ...

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store `data`; durable when this returns."""
        ...

    async def delete(self, keys: Collection[str]) -> None:
        """Remove each of `keys`; one that is not there is no error."""
        ...

    async def size(self, key: str) -> int | None:
        """Return how many bytes the object has, None if it is not there."""
        ...

    async def fetch(self, key: str, file: BinaryIO, *, max_bytes: int) -> str:
        """Write the object to the open, empty `file` and return its SHA-256 (hex); memory stays flat.

        Raises ObjectMissing, and UploadTooLarge once more than `max_bytes` have come, without reading on.
        """
        ...

    def walk(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Yield every object whose key begins with `prefix`, in the order of keys (bytewise)."""
        ...

    async def now(self) -> datetime:
        """Return the time by the store's own clock, which is the one that `StoredObject.modified_at` is set by."""
        ...

    async def sign_url(self, key: str, *, filename: str | None = None) -> SignedUrl:
        """Return a URL that reads `key` without a token.

        Within one signing window the URL of a key is the same to the letter; it stays valid for at
        least the configured lifetime after this call. With `filename` the answer is a download under
        that name (RFC 6266), otherwise it is shown inline. Needs no call to the store.
        """
        ...

    async def sign_form(
        self, key: str, *, content_type: str, size: int, sha256: str | None, expires_at: datetime
    ) -> SignedForm:
        """Return a form that stores an object of exactly `size` bytes and that type under `key`, until `expires_at`.

        Where `sha256` (hex) is given, a store that can refuses other content. Whoever reads the object has to check
        it all the same. Needs no call to the store.
        """
        ...

    async def check(self) -> None:
        """Return if the store answers and its bucket or folder is there and can be used."""
        ...


class LocalObjects(Protocol):
    """What a store can do besides whose URLs and forms this service serves itself."""

    async def open_signed(
        self, key: str, *, expires: int, filename: str | None, signature: str, now: datetime
    ) -> LocalObject:
        """Return the file behind a URL of `sign_url`, given that URL's parts.

        `expires` is in seconds since 1970. Raises UrlInvalid unless all of them are as they were signed,
        then UrlExpired, then ObjectMissing. A delete may take the file away at any moment after.
        """
        ...

    def check_form(self, fields: Mapping[str, str], *, now: datetime) -> PostedForm:
        """Return what may be stored, given every field of a form of `sign_form` except the file.

        Raises FormInvalid unless they are those that were signed, no more and no less, then FormExpired.
        Whether the file is the announced one is for the caller to check.
        """
        ...


class ImageTable(Protocol):
    """The records of images and, in step with them, each owner's usage.

    Reads see every write that has returned.
    """

    async def add(self, image: Image, *, quota: Quota, claim: Claim | None = None) -> None:
        """Add the record and count it to its owner's usage, both or neither.

        With `claim` it is added only while that claim is held; a RequestClaim is marked done by the same write, so
        that a request with an idempotency key never makes two images. Adding a record that is there already changes
        nothing.

        Raises QuotaExceeded if the owner would then have more than `quota`, however many are added
        at once, TokenInvalid if `OwnerTable.close` was called for the owner, ImageMissing if the image has a
        tombstone, and ClaimLost.
        """
        ...

    async def get(self, owner_id: str, image_id: str) -> Image:
        """Raises ImageMissing, for another owner's image too."""
        ...

    async def page(self, owner_id: str, *, before: str | None, limit: int) -> Sequence[Image]:
        """Return at most `limit` images, newest first, beginning after the id `before`; one query."""
        ...

    async def edit(self, owner_id: str, image_id: str, *, changes: Mapping[str, str | None]) -> Image:
        """Set `filename` or `description`, those that `changes` names, and return the record as it is then.

        Two edits at once that name different ones both hold. Raises ImageMissing.
        """
        ...

    async def remove(self, owner_id: str, image_id: str, *, deleted_at: datetime | None = None) -> Image:
        """Remove the record and its share of the usage, both or neither; return what was removed.

        With `deleted_at` the same write adds an open tombstone (TombstoneTable). Raises ImageMissing; of two at once
        one succeeds.
        """
        ...

    async def replace(self, image: Image, *, claim: JobClaim | None = None) -> None:
        """Overwrite thumbnails, placeholder, width and height of the record with those of `image`.

        With `claim` only while that claim is held. Raises ImageMissing and ClaimLost.
        """
        ...

    async def newest_of_product(self, owner_id: str, ean: str) -> Image:
        """Return the owner's newest image whose source has this EAN. Raises ImageMissing."""
        ...

    async def usage(self, owner_id: str) -> Usage: ...

    def owners(self) -> AsyncIterator[str]:
        """Yield the id of each owner with at least one image, in any order; reads the whole table."""
        ...

    def walk(self, owner_id: str) -> AsyncIterator[Image]:
        """Yield every image of the owner, oldest first (the order of ids)."""
        ...

    async def store_id(self) -> str | None:
        """Return the mark of the store that holds these images' objects; None if none was ever set."""
        ...

    async def set_store_id(self, store_id: str) -> str:
        """Set it unless one is set already; return which is."""
        ...

    async def check(self) -> None:
        """Return if the table answers and is there."""
        ...


class TombstoneTable(Protocol):
    """Which images must not be added (again): those that their owners deleted, by `ImageTable.remove`.

    A tombstone is open until it is closed, and kept for 90 days after that.
    """

    async def add_tombstone(self, tombstone: Tombstone) -> bool:
        """Add an open tombstone unless the image has a record; return whether the image has a tombstone now."""
        ...

    async def remove_tombstone(self, tombstone: Tombstone) -> None:
        """Remove the tombstone, so that the image can be added again. One that is not there is no error."""
        ...

    async def find_tombstone(self, owner_id: str, image_id: str) -> Tombstone | None: ...

    async def open_tombstones(self, *, deleted_before: datetime, limit: int) -> Sequence[Tombstone]:
        """Return at most `limit` open tombstones of any owner, the oldest first.

        May miss what was written in the last seconds.
        """
        ...

    async def close_tombstone(self, tombstone: Tombstone, *, now: datetime) -> None:
        """Note that no object of the image is left. Closing a closed or missing one is no error."""
        ...


class ReconcileTable(Protocol):
    """What reconcile runs found out of step, until it is settled; all times are the store's."""

    async def note_unreferenced(self, owner_id: str, image_id: str, names: Collection[str], *, at: datetime) -> None:
        """Note objects of the image that no record refers to; those that are noted already keep their time."""
        ...

    async def note_lost(self, owner_id: str, image_id: str, *, at: datetime) -> None:
        """Note that the record's original is missing, unless that is noted already."""
        ...

    def discrepancies(self) -> AsyncIterator[Discrepancy]:
        """Yield everything that is noted, in any order; what changes meanwhile may or may not be seen."""
        ...

    async def forget_unreferenced(self, owner_id: str, image_id: str, names: Collection[str]) -> None:
        """Remove these notes. One that is not there is no error."""
        ...

    async def forget_lost(self, owner_id: str, image_id: str) -> None: ...

    async def reconcile_state(self) -> ReconcileState | None: ...

    async def save_reconcile_state(self, state: ReconcileState) -> None: ...


class DirectUploadTable(Protocol):
    """Uploads that were announced and may arrive in the store; kept a day past `expires_at`."""

    async def add_upload(self, upload: DirectUpload, *, claim: RequestClaim | None = None) -> None:
        """Add the upload and, if given, mark `claim` done, both or neither. Raises ClaimLost.

        Adding one that is there already changes nothing.
        """
        ...

    async def find_upload(self, owner_id: str, upload_id: str) -> DirectUpload | None: ...


class OnceTable(Protocol):
    """What was asked for under an idempotency key, and what came of it."""

    async def begin(self, record: OnceRecord, *, now: datetime) -> OnceRecord | None:
        """Keep `record` and return None if there is none under its owner and key, or one that is over at `now`.

        Otherwise return the one that is there. Of many at once exactly one gets None.
        """
        ...

    async def find(self, owner_id: str, key: str) -> OnceRecord | None: ...

    async def renew(self, record: OnceRecord, *, leased_until: datetime) -> bool:
        """Change `leased_until`; return False, having changed nothing, if another has taken over or it is done."""
        ...

    async def take_over(self, record: OnceRecord, *, seen: OnceRecord) -> bool:
        """Put `record` in the place of `seen`, if that is not done and has not been renewed since it was read.

        Of many at once exactly one gets True.
        """
        ...

    async def finish(self, record: OnceRecord) -> None:
        """Mark the record done, if its `result_id` is still the one that is there."""
        ...

    async def abandon(self, record: OnceRecord) -> None:
        """Forget the record, if its `result_id` is still the one that is there and it is not done."""
        ...


class JobTable(Protocol):
    """The records of background jobs: they, not the queue, say what has to be done and what was."""

    async def add_job(self, job: Job, *, claim: RequestClaim | None = None) -> None:
        """Add the job and, if given, mark `claim` done, both or neither. Raises ClaimLost.

        Adding one that is there already changes nothing.
        """
        ...

    async def find_job(self, owner_id: str, job_id: str) -> Job | None: ...

    async def page_jobs(
        self, owner_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> Sequence[Job]:
        """Return at most `limit` jobs, only those with `status` if given, newest first, after the id `before`."""
        ...

    async def claim_job(
        self, owner_id: str, job_id: str, *, claim: str, now: datetime, lease_until: datetime
    ) -> Job | None:
        """Make the job RUNNING under `claim`, due again at `lease_until`, with one attempt more and `now` as its
        `updated_at`; return it.

        Returns None, having changed nothing, unless it is there, not finished, and due at `now`. Of many at once
        exactly one gets it.
        """
        ...

    async def save_job(self, job: Job) -> bool:
        """Overwrite everything but id, owner, kind, claim and creation time, if `job.claim` is still running.

        Returns False, having changed nothing, if it is not: its lease was over and another attempt has begun, or the
        job was finished. A finished job is kept for 30 days after `updated_at`.
        """
        ...

    async def due_jobs(self, *, before: datetime, limit: int) -> Sequence[DueJob]:
        """Return at most `limit` unfinished jobs of any owner with `due_at` before that time, the oldest first.

        May miss what was written in the last seconds.
        """
        ...


class JobQueue(Protocol):
    """Says whose turn it is: at least once for each message, in no certain order."""

    async def send(self, owner_id: str, job_id: str, *, delay_seconds: int = 0) -> None:
        """`delay_seconds` is at most 900."""
        ...

    async def receive(self, *, limit: int, hide_seconds: int) -> Sequence[JobMessage]:
        """Return at most `limit` (1 to 10) messages, waiting for one for some seconds; none is no error.

        Nobody else gets them for `hide_seconds`. One that was received five times and never acknowledged goes to the
        dead-letter queue instead of a sixth time, or is dropped where there is none.
        """
        ...

    async def hide(self, message: JobMessage, *, seconds: int) -> None:
        """Let the message come again `seconds` from now. A receipt that is no longer good is no error."""
        ...

    async def acknowledge(self, message: JobMessage) -> None:
        """Remove the message. A receipt that is no longer good is no error."""
        ...

    async def depth(self) -> int:
        """Return roughly how many messages could be received now."""
        ...

    async def check(self) -> None:
        """Return if the queue answers and is there."""
        ...


class OwnerTable(Protocol):
    """What concerns all the records of one owner."""

    async def close(self, owner_id: str, *, until: datetime) -> None:
        """Let nothing more be added to the owner's images (`ImageTable.add`); the mark is kept until then."""
        ...

    async def is_closed(self, owner_id: str) -> bool: ...

    async def forget(self, owner_id: str, *, but_job: str, deleted_at: datetime) -> None:
        """Remove the owner's usage, tombstones, direct uploads, idempotency keys and jobs but one.

        Images and the mark of `close` stay, and `deleted_at` is kept for 90 days.
        """
        ...

    async def deleted_at(self, owner_id: str) -> datetime | None:
        """Return when everything of the owner was deleted (the store's time); None if it was not, or long ago."""
        ...


class ProductCatalog(Protocol):
    """Finds the image of a product by its EAN."""

    async def find(self, ean: str) -> Product:
        """`ean` is normalised (core.ean). Raises ProductUnknown, ProductImageMissing or CatalogUnavailable."""
        ...

    async def download(self, product: Product, file: BinaryIO, *, max_bytes: int) -> str:
        """Write the product's image to the open, empty `file` and return its SHA-256 (hex); memory stays flat.

        Connects to nothing but public addresses of the hosts that the catalogue is known to use. Raises ImageRejected
        for any other and for one larger than `max_bytes`, and CatalogUnavailable.
        """
        ...


class AccountTable(Protocol):
    """Accounts kept by the service, their sessions, and counters of attempts."""

    async def add_account(self, account: Account, *, session: Session) -> None:
        """Add the account and its first session, both or neither.

        Raises EmailTaken if an account has the same normalised e-mail address, also when both come at once.
        """
        ...

    async def find_account(self, account_id: str) -> Account | None: ...

    async def find_account_by_email(self, email: str) -> Account | None:
        """Look `email` up in its normalised form."""
        ...

    async def set_password_hash(self, account_id: str, password_hash: str) -> None:
        """Replace the hash, as when the hashing parameters were raised. An account that is gone is no error."""
        ...

    async def add_session(self, session: Session) -> None: ...

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        """Put `new_hash` in the place of `old_hash` and extend the session; of two at once one succeeds.

        Returns False, having changed nothing, if the session is missing, over at `now`, or has another hash.
        """
        ...

    async def remove_session(self, account_id: str, session_id: str) -> None:
        """A session that is not there is no error."""
        ...

    async def remove_sessions(self, account_id: str) -> None:
        """Remove every session of the account."""
        ...

    async def remove_account(self, account_id: str) -> None:
        """Remove the account and its sessions; its e-mail address is free again. One that is gone is no error."""
        ...

    async def count_attempt(self, key: str, *, now: datetime, window_seconds: int) -> Attempts:
        """Count one more attempt under `key` and return all of the window that is running.

        The first attempt opens a window of `window_seconds`; once it is over the next opens another.
        No attempt is lost when many come at once.
        """
        ...

    async def clear_attempts(self, key: str) -> None: ...


class Accounts(Protocol):
    """Who may use the service: signs people up and in, and tells whom a token stands for."""

    async def register(
        self, *, email: str, password: str, display_name: str | None, client: str
    ) -> tuple[Profile, Tokens]:
        """Open an account; `client` is the caller's network address, for throttling.

        Raises EmailInvalid, EmailTaken, PasswordWeak, RegistrationClosed, Overloaded or TooManyAttempts.
        """
        ...

    async def sign_in(self, *, email: str, password: str, client: str) -> Tokens:
        """Check the password; `client` is the caller's network address, for throttling.

        Raises CredentialsInvalid, with the same words and after the same time whether the account
        exists or not, AccountDisabled, Overloaded, TooManyAttempts with `retry_after`, or
        RegistrationClosed where signing in by password is not enabled.
        """
        ...

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange the refresh token for new tokens. Raises RefreshTokenInvalid or AccountDisabled."""
        ...

    async def authenticate(self, access_token: str) -> User:
        """Raises TokenInvalid, TokenExpired or Overloaded."""
        ...

    async def profile(self, access_token: str) -> Profile:
        """Return the profile of the token's account. Raises TokenInvalid or TokenExpired."""
        ...

    async def close(self, access_token: str) -> None:
        """End the account's sessions, or have its provider delete it at once. Again is no error.

        Raises TokenInvalid, TokenExpired, or SignInAgain where the provider wants a sign-in that is recent.
        """
        ...

    async def remove(self, user_id: str) -> None:
        """Remove what the service itself keeps of a closed account. One that is gone is no error."""
        ...


class Renderer(Protocol):
    """Checks an image and makes its thumbnails, apart from this process and within limits."""

    async def render(self, file: BinaryIO) -> Rendering:
        """Decide about the image in the open `file`, read from its beginning whatever its position.

        Raises FormatUnsupported, ImageCorrupt, ImageTooLarge (from the header, before pixels are
        decoded), ImageTooExpensive when a limit on time or memory stopped it, and Overloaded at once
        when the queue is full.
        """
        ...


class Metrics(Protocol):
    """Counts what an operator watches. Never raises."""

    def count_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template such as `/images/{image_id}`: there must not be many of them."""
        ...

    def count_image(self, size: int) -> None:
        """An image of `size` bytes was taken in, whichever way it came."""
        ...

    def count_rendering(self, outcome: str, seconds: float) -> None:
        """`outcome` is `rendered` or the code of the error that it ended with."""
        ...

    def count_job(self, kind: str, outcome: str) -> None:
        """`outcome` is `completed`, `failed` or `retrying`."""
        ...

    def count_dependency_error(self, dependency: str) -> None: ...

    def set_deletions_withheld(self, originals: int) -> None:
        """How many unreferenced originals the latest reconcile run did not delete because they were too many."""
        ...

    def exposition(self, *, queue_depth: int | None, queue_age_seconds: float | None) -> bytes:
        """Return all that was counted, by every process that counts together with this one, as Prometheus reads it."""
        ...

    def served(self, *, host: str, port: int) -> AbstractContextManager[None]:
        """Serve what was counted over HTTP meanwhile, apart from the API; on port 0 nowhere."""
        ...
