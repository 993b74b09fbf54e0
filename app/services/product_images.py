"""Fetches product images by EAN in background jobs: looks up the product, downloads its image, stores it."""

from __future__ import annotations

import os

from app.common.blocking_io import run_blocking_io
from app.common.rate_limit import RateLimit
from app.common.temp_files import TempFiles
from app.domain import filenames
from app.domain.accounts import User
from app.domain.claims import RequestClaim
from app.domain.errors import (
    FileEmpty,
    FormatUnsupported,
    ImageCorrupt,
    ImageRejected,
    ImageTooExpensive,
    ImageTooLarge,
)
from app.domain.formats import SNIFF_BYTES
from app.domain.ids import new_id
from app.domain.jobs import Job, JobError
from app.domain.products import Product
from app.jobs.attempt import Attempt
from app.jobs.registry import JobResult, JobSpec
from app.jobs.service import JobService
from app.ports.catalog import ProductCatalog
from app.services.library import Library
from app.services.new_images import ReceivedFile
from app.services.uploads import Uploads

_FOUND, _DOWNLOADED = 25, 60
"""Percent done."""
_FILE_FAULTS = (FileEmpty, FormatUnsupported, ImageCorrupt, ImageTooExpensive, ImageTooLarge)


class ProductImages:
    def __init__(
        self,
        *,
        catalog: ProductCatalog,
        uploads: Uploads,
        library: Library,
        jobs: JobService,
        temp_files: TempFiles,
        max_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._uploads = uploads
        self._library = library
        self._jobs = jobs
        self._temp_files = temp_files
        self._max_bytes = max_bytes

    @property
    def job_spec(self) -> JobSpec:
        return JobSpec(
            kind="fetch",
            label="Fetching the product image",
            handler=self,
            result=_job_result,
            rate_limit=RateLimit("fetch", limit=600, window_seconds=3600),
        )

    async def request(self, user: User, ean: str, *, description: str | None, claim: RequestClaim | None = None) -> Job:
        """Submit a job that fetches the product's image; `ean` is normalized. Raises TooManyAttempts and ClaimLost."""
        return await self._jobs.submit(user, self.job_spec, ean=ean, description=description, claim=claim)

    async def run(self, attempt: Attempt) -> None:
        """Fetch and store the image, unless an earlier attempt did.

        Raises ProductUnknown, ProductImageMissing, CatalogUnavailable, ImageRejected and QuotaExceeded.
        """
        job = attempt.job
        user = User(job.owner_id)
        if job.image_id is not None and await self._library.find(user, job.image_id):
            return
        product = await self._catalog.get(job.ean or "")
        await attempt.report(progress=_FOUND)
        async with self._temp_files.file() as file:
            sha256 = await self._catalog.download(product, file, max_bytes=self._max_bytes)
            head = await run_blocking_io(os.pread, file.fileno(), SNIFF_BYTES, 0)
            try:
                image_format = self._uploads.detect_format(head)
                received = ReceivedFile(
                    file=file,
                    size=os.fstat(file.fileno()).st_size,
                    sha256=sha256,
                    format=image_format,
                    filename=filenames.clean_title(f"{_name(product)}.{image_format.extensions[0]}"),
                    description=job.description,
                )
                await self._store(attempt, user, received, product)
            except _FILE_FAULTS as error:
                raise ImageRejected(f"The product image was refused: {error.detail}") from error

    async def give_up(self, job: Job, error: JobError) -> None:
        """Nothing was stored, so there is nothing to clean up."""

    async def _store(self, attempt: Attempt, user: User, received: ReceivedFile, product: Product) -> None:
        # The id is saved before anything is stored under it, and the record is added only while this attempt holds the
        # job. A later attempt looks for this image first, so that one job never creates two images.
        image_id = new_id()
        await attempt.report(progress=_DOWNLOADED, image_id=image_id)
        claim = attempt.job.job_claim
        await self._uploads.store_upload(user, received, image_id=image_id, source=product.source, claim=claim)


async def _job_result(job: Job) -> JobResult:
    return JobResult(image_id=job.image_id)


def _name(product: Product) -> str:
    return product.source.product_name or product.source.ean
