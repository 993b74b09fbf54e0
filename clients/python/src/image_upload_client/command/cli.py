"""The subcommands of `images`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from image_upload_client.client import ImageClient
from image_upload_client.command.bars import job_bar
from image_upload_client.command.batch import Batch
from image_upload_client.command.credentials import Credentials, CredentialsFile, folder
from image_upload_client.command.locking import LockedError, locked
from image_upload_client.command.records import UploadRecords
from image_upload_client.command.uploading import Uploader, find_files
from image_upload_client.errors import ImageServiceError
from image_upload_client.models import Image, Job
from image_upload_client.tokens import TokenStore
from image_upload_client.transport import VERSION

_LOCK_SECONDS = 10


class _Group(click.Group):
    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 # as in click
        try:
            return super().invoke(context)
        except ImageServiceError as error:
            raise click.ClickException(f"{error} ({error.code})") from error
        except BrokenPipeError:
            raise  # click ends silently
        except OSError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(VERSION)
def main() -> None:
    """Upload photos to an image upload service, and manage them."""


@contextmanager
def _signed_in() -> Iterator[tuple[ImageClient, Credentials]]:
    file = _credentials_file()
    credentials = file.read()
    if credentials is None:
        raise ImageServiceError("signed_out", "You are not signed in. Run `images login URL`.")
    with ImageClient(credentials.url, file) as client:
        yield client, credentials


def _credentials_file() -> CredentialsFile:
    return CredentialsFile(folder() / "credentials.json")


@main.command()
@click.argument("url")
@click.option("--email", prompt=True, help="The email address of the account.")
def login(url: str, email: str) -> None:
    """Sign in to the service at URL.

    The password is requested, or read from the standard input if that is not a terminal.
    """
    is_terminal = sys.stdin.isatty()
    password = click.prompt("Password", hide_input=True) if is_terminal else sys.stdin.readline().rstrip("\r\n")
    store = TokenStore()
    try:
        client = ImageClient(url, store)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error
    with client:
        client.sign_in(email, password)
        account = client.account()
    tokens = store.load()
    if tokens is None:
        raise ImageServiceError("signed_out", "The session has already ended. Sign in again.")
    _credentials_file().write(Credentials(url.rstrip("/"), email, account["id"], tokens))
    click.echo(f"Signed in as {email}.")


@main.command()
def logout() -> None:
    """End the session, and delete the tokens from this machine."""
    with _signed_in() as (client, credentials):
        client.sign_out()
    click.echo(f"Signed out {credentials.email}.")


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def upload(paths: tuple[Path, ...]) -> None:
    """Upload files, and the photos in folders.

    A content that was uploaded from this machine and still exists is not uploaded again. Interrupted uploads continue.
    """
    _upload(paths, checks_existing=True)


@main.command()
@click.argument("path", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
def sync(path: Path) -> None:
    """Upload the photos in FOLDER that were not uploaded before. Nothing is deleted.

    Photos that were deleted from the service since their upload are not uploaded again.
    """
    _upload((path,), checks_existing=False)


def _upload(paths: tuple[Path, ...], *, checks_existing: bool) -> None:
    with _signed_in() as (client, credentials):
        extensions = client.limits()["extensions"]
        account = f"{credentials.url} {credentials.user_id}"
        try:
            with (
                locked(folder() / "uploads.lock", seconds=_LOCK_SECONDS),
                closing(UploadRecords(folder() / "uploads.sqlite3", account=account)) as records,
            ):
                batch = Batch(Uploader(client, records, checks_existing))
                files = list(find_files(paths, extensions, on_error=batch.fail_to_read))
                batch.run(files)
        except LockedError as error:
            raise click.ClickException("Another upload is in progress. Wait until it has ended.") from error
    click.echo(batch.summary(), err=True)
    if batch.failed:
        sys.exit(1)


@main.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_images(*, as_json: bool) -> None:
    """List all images, newest first: id, time of the upload, size in bytes and filename."""
    with _signed_in() as (client, _):
        for image in client.list():
            click.echo(json.dumps(image) if as_json else _line(image))


def _line(image: Image) -> str:
    return f"{image['id']}  {image['uploaded_at'][:19]}Z  {image['size']:>10}  {image['filename']}"


@main.command()
@click.argument("image_id", metavar="ID")
def get(image_id: str) -> None:
    """Print an image as JSON. ID is the id of an image, or the EAN of a product whose image was fetched."""
    with _signed_in() as (client, _):
        click.echo(json.dumps(client.get(image_id), indent=2))


@main.command()
@click.argument("image_id", metavar="ID")
@click.option("--output", type=click.Path(path_type=Path), help="The file to write. By default the name of the image.")
def download(image_id: str, output: Path | None) -> None:
    """Save the original of an image. An existing file is not replaced."""
    with _signed_in() as (client, _):
        image = client.get(image_id)
        path = output or Path(Path(image["filename"]).name or image["id"])
        _require_new(path)
        client.download(image["id"], path)
    click.echo(str(path))


def _require_new(path: Path) -> None:
    if path.exists():
        raise click.ClickException(f"{path} exists already. Name another file with --output.")


@main.command()
@click.argument("image_ids", metavar="ID...", nargs=-1, required=True)
def delete(image_ids: tuple[str, ...]) -> None:
    """Delete images. There is no way to restore them."""
    with _signed_in() as (client, _):
        results = client.delete_many(image_ids)
    for image_id, result in results.items():
        click.echo(f"{image_id}  {result}")
    if any(result != "deleted" for result in results.values()):
        sys.exit(1)


@main.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("images.zip"), show_default=True)
def export(output: Path) -> None:
    """Save all originals and their metadata as a ZIP file. An existing file is not replaced."""
    _require_new(output)
    with _signed_in() as (client, _):
        job = _wait(client, client.export_images())
        client.download_export(job["job_id"], output)
    if (result := job["result"]) and result["note"]:
        click.echo(result["note"], err=True)
    click.echo(str(output))


@main.command("fetch-ean")
@click.argument("ean")
@click.option("--description", help="The description of the image.")
def fetch_ean(ean: str, description: str | None) -> None:
    """Fetch the image of a product by its EAN, and print the image as JSON."""
    with _signed_in() as (client, _):
        started = client.fetch_product_image(ean, description=description, idempotency_key=str(uuid4()))
        result = _wait(client, started)["result"]
        image_id = result["image_id"] if result else None
        if image_id:
            click.echo(json.dumps(client.get(image_id), indent=2))


def _wait(client: ImageClient, job: Job) -> Job:
    """Wait for a job and show its progress in percent."""
    with job_bar() as bars:
        task = bars.add_task(job["message"], total=100)

        def show(changed: Job) -> None:
            bars.update(task, completed=changed["progress"], description=changed["message"])

        return client.wait_for_job(job["job_id"], on_change=show)
