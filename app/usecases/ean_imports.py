"""Product images by EAN: asked for here, found in a product catalogue, kept like any upload."""

from __future__ import annotations

import os

from app.core import filenames
from app.core.errors import (
    FileEmpty,
    FormatUnsupported,
    ImageCorrupt,
    ImageRejected,
    ImageTooExpensive,
    ImageTooLarge,
)
from app.core.formats import SNIFF_BYTES
from app.core.ids import new_id
from app.core.jobs import Job, JobError, JobKind
from app.core.models import RequestClaim, User
from app.core.ports import AccountTable, ProductCatalog
from app.core.products import Product
from app.core.threads import on_disk
from app.usecases.jobs import Jobs
from app.usecases.library import Library
from app.usecases.rates import Rate
from app.usecases.spool import Spool
from app.usecases.uploads import ReceivedFile, Uploads
from app.usecases.working import Attempt

_FOUND, _DOWNLOADED = 25, 60
"""Percent done."""
_RATE = Rate("fetch", limit=600, window_seconds=3600)
_REFUSALS = (FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge)


class EanImports:
    def __init__(
        self,
        *,
        catalog: ProductCatalog,
        uploads: Uploads,
        library: Library,
        jobs: Jobs,
        spool: Spool,
        attempts: AccountTable,
        max_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._uploads = uploads
        self._library = library
        self._jobs = jobs
        self._spool = spool
        self._attempts = attempts
        self._max_bytes = max_bytes

    async def request(self, user: User, ean: str, *, description: str | None, claim: RequestClaim | None = None) -> Job:
        """Have the image of the product fetched; `ean` is normalised. Raises TooManyAttempts and ClaimLost."""
        await _RATE.count(self._attempts, user, clock=self._jobs.clock)
        job = await self._jobs.add(user.id, JobKind.FETCH, ean=ean, description=description, claim=claim)
        await self._jobs.send(job)
        return job

    async def run(self, attempt: Attempt) -> None:
        """Find, check and keep the image, unless an earlier attempt has.

        Raises ProductUnknown, ProductImageMissing, CatalogUnavailable, ImageRejected and QuotaExceeded.
        """
        job = attempt.job
        user = User(job.owner_id)
        if job.image_id is not None and await self._library.find(user, job.image_id):
            return
        product = await self._catalog.find(job.ean or "")
        await attempt.report(progress=_FOUND)
        async with self._spool.file() as file:
            sha256 = await self._catalog.download(product, file, max_bytes=self._max_bytes)
            head = await on_disk(os.pread, file.fileno(), SNIFF_BYTES, 0)
            try:
                found = self._uploads.recognise(head)
                received = ReceivedFile(
                    file=file,
                    size=os.fstat(file.fileno()).st_size,
                    sha256=sha256,
                    format=found,
                    filename=filenames.clean(f"{_name(product)}.{found.extensions[0]}"),
                    description=job.description,
                )
                await self._keep(attempt, user, received, product)
            except _REFUSALS as error:
                raise ImageRejected(f"The product's image was refused: {error.detail}") from error

    async def give_up(self, job: Job, error: JobError) -> None:
        """Nothing was kept, so nothing is to be done."""

    async def _keep(self, attempt: Attempt, user: User, received: ReceivedFile, product: Product) -> None:
        # The id is noted before anything is kept under it, and the record is added only while this attempt holds the
        # job: an attempt that comes after it looks there first, so that one job never makes two images.
        image_id = new_id()
        await attempt.report(progress=_DOWNLOADED, image_id=image_id)
        claim = attempt.job.job_claim
        await self._uploads.receive(user, received, image_id=image_id, source=product.source, claim=claim)


def _name(product: Product) -> str:
    return product.source.product_name or product.source.ean
