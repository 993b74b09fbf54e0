"""`python -m app backup` and `python -m app restore`: copies of the embedded backend."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

import click

from app.backup.backup import back_up
from app.backup.files import BackupError, read_checksums
from app.backup.restore import restore as restore_files
from app.container.data_dir import DataDir, DataDirInUse
from app.settings import Settings
from app.startup import configure

_NOT_EMBEDDED = (
    "This command copies STORAGE=disk and TABLES=sqlite only. For DynamoDB, use point-in-time recovery, which "
    "infra/template.yaml turns on. For S3, turn on versioning of the bucket, or replicate it. See docs/operations.md, "
    "Backup."
)
_DAMAGED = (
    "{damaged} images have no original or a damaged one. They were copied as they are. `python -m app reconcile` "
    "reports missing originals; restore the files from an earlier backup."
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Copy records, objects and the secret to the new FOLDER. The service may be running."""
    settings = _embedded()
    try:
        report = asyncio.run(back_up(settings.data_dir.resolve(), folder.resolve()))
    except (BackupError, OSError) as error:
        sys.exit(str(error))
    click.echo(json.dumps(dataclasses.asdict(report)))
    if report.damaged:
        sys.exit(_DAMAGED.format(damaged=report.damaged))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def restore(folder: Path) -> None:
    """Copy the backup in FOLDER to DATA_DIR, which must be empty. The service must be stopped."""
    settings = _embedded()
    data_dir = DataDir(settings.data_dir)
    try:
        with (
            data_dir.serving(),
            click.progressbar(length=len(read_checksums(folder)), label="Restoring", file=sys.stderr) as bar,
        ):
            files = restore_files(folder.resolve(), data_dir.path, progress=lambda: bar.update(1))
    except (BackupError, DataDirInUse, OSError) as error:
        sys.exit(str(error))
    click.echo(json.dumps({"files": files}))


def _embedded() -> Settings:
    settings = configure()
    if settings.storage != "disk" or settings.tables != "sqlite":
        sys.exit(_NOT_EMBEDDED)
    return settings
