"""What the SQLite database guarantees: durability, migrations, efficient pages, and errors for unusable files."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.errors import DependencyUnavailable, ImageMissing
from app.domain.ids import new_id
from app.domain.images import Quota, Usage
from app.domain.timeline import MonthCount, Period, Position
from app.tables.sqlite import (
    SqliteAccountTable,
    SqliteCounterTable,
    SqliteDatabase,
    SqliteDirectUploadTable,
    SqliteImageTable,
    SqliteStoreIdTable,
    SqliteTimelineTable,
    open_sqlite,
)
from app.tables.sqlite.database import DatabaseDamaged
from app.tables.sqlite.migrations import MIGRATIONS
from app.tables.sqlite.rows import to_values
from app.tables.sqlite.schema import migrate
from tests.contracts.tables import NOON, make_account, make_image, make_session, make_source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "service.db"


async def test_all_data_exists_after_reopening(path: Path) -> None:
    image, account = make_image("ada"), make_account("ada@example.com")
    async with open_sqlite(path) as database:
        await SqliteImageTable(database).add(image, quota=Quota())
        await SqliteAccountTable(database).add_account(account, session=make_session(account.id))
        await SqliteCounterTable(database).increment("ada", now=NOON, window_seconds=60)
    async with open_sqlite(path) as database:
        assert await SqliteImageTable(database).get("ada", image.id) == image
        assert await SqliteImageTable(database).usage("ada") == Usage(1, image.size)
        assert await SqliteAccountTable(database).find_account_by_email("ada@example.com") == account
        assert (await SqliteCounterTable(database).increment("ada", now=NOON, window_seconds=60)).count == 2


WRITER = """
import asyncio, sys
from pathlib import Path
from app.tables.sqlite import SqliteImageTable, open_sqlite
from app.domain.images import Quota
from tests.contracts.tables import make_image

async def write(images):
    while True:
        image = make_image("ada")
        await images.add(image, quota=Quota())
        print(image.id, flush=True)

async def main():
    async with open_sqlite(Path(sys.argv[1])) as database:
        await asyncio.gather(*(write(SqliteImageTable(database)) for _ in range(8)))

asyncio.run(main())
"""


async def test_acknowledged_writes_survive_a_kill(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    acknowledged = [(await process.stdout.readline()).decode().strip() for _ in range(300)]
    process.kill()
    acknowledged += (await process.stdout.read()).decode().split("\n")[:-1]
    await process.wait()

    async with open_sqlite(path) as database:
        images = SqliteImageTable(database)
        kept = [image.id async for image in images.walk("ada")]
        assert set(acknowledged) <= set(kept)
        assert await images.usage("ada") == Usage(len(kept), 1000 * len(kept))


async def test_commits_wait_for_the_disk(path: Path) -> None:
    async with open_sqlite(path) as database:
        assert [tuple(row) for row in await database.execute("PRAGMA synchronous")] == [(2,)]  # FULL
        assert [tuple(row) for row in await database.execute("PRAGMA journal_mode")] == [("wal",)]


async def test_files_are_readable_only_by_their_owner(path: Path) -> None:
    async with open_sqlite(path) as database:
        await SqliteImageTable(database).add(make_image("ada"), quota=Quota())
        assert modes(path.parent) == {"service.db": 0o600, "service.db-wal": 0o600, "service.db-shm": 0o600}


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.parent.mkdir()
    await asyncio.to_thread(path.touch)
    async with open_sqlite(path) as database:
        await SqliteImageTable(database).check()
        assert [tuple(row) for row in await database.read("PRAGMA user_version")] == [(len(MIGRATIONS),)]


async def test_file_of_version_1_is_migrated_without_data_loss(path: Path) -> None:
    image = make_image("ada", metadata=None)
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, migrations=MIGRATIONS[:1])
    values = (*(getattr(image, name) for name in ("owner_id", "id", "filename", "description", "content_type")),)
    values += (image.size, image.sha256, image.width, image.height, "2026-11-20T12:00:00.123456+00:00")
    thumbnail = {"size": 200, "status": "ready", "content_type": "image/jpeg", "width": 200, "height": 150}
    values += (image.placeholder, json.dumps([thumbnail | {"bytes": 6120, "reason": None, "attempts": 1}]))
    connection.execute(f"INSERT INTO images VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608  marks only
    connection.close()
    async with open_sqlite(path) as database:
        assert await SqliteImageTable(database).get("ada", image.id) == image
        assert await SqliteDirectUploadTable(database, clock=lambda: NOON).find_upload("ada", image.id) is None
        assert [tuple(row) for row in await database.read("PRAGMA user_version")] == [(len(MIGRATIONS),)]


async def test_file_of_version_3_is_migrated_and_accepts_new_records(path: Path) -> None:
    image, upload_id = make_image("ada", metadata=None), new_id()
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, migrations=MIGRATIONS[:3])
    values = to_values(image)
    added_later = {"source", "ean", "status", "focal_point", "metadata", "custom_metadata", "uploaded_sha256"}
    names = [name for name in values if name not in added_later]
    columns, parameters = ", ".join(names), ", ".join(f":{name}" for name in names)
    connection.execute(f"INSERT INTO images ({columns}) VALUES ({parameters})", values)  # noqa: S608 - own names
    connection.execute("INSERT INTO usage (owner_id, images, bytes) VALUES ('ada', 1, 1000)")
    connection.execute("INSERT INTO store VALUES (1, 'mark')")
    upload = ("ada", upload_id, "x.jpg", None, "image/jpeg", 1, None, "2026-11-20T12:00:00.123456+00:00")
    connection.execute("INSERT INTO direct_uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?)", upload)
    connection.close()
    async with open_sqlite(path) as database:
        images = SqliteImageTable(database)
        assert await images.get("ada", image.id) == image
        assert await images.usage("ada") == Usage(1, 1000)
        assert await SqliteStoreIdTable(database).store_id() == "mark"
        assert await SqliteDirectUploadTable(database, clock=lambda: NOON).find_upload("ada", upload_id)
        pending = make_image("ada", placeholder=None, source=make_source("4006381333931"))
        await images.add(pending, quota=Quota())
        assert [each async for each in images.walk("ada")] == [image, pending]
        assert await images.get_newest_of_product("ada", "4006381333931") == pending
        assert [tuple(row) for row in await database.read("PRAGMA user_version")] == [(len(MIGRATIONS),)]
        assert [tuple(row) for row in await database.read("PRAGMA integrity_check")] == [("ok",)]


async def test_images_of_version_11_are_in_the_timeline(path: Path) -> None:
    taken, uploaded = make_image("ada"), make_image("ada", metadata=None)
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, migrations=MIGRATIONS[:11])
    for image in (taken, uploaded):
        values = {name: value for name, value in to_values(image).items() if name != "uploaded_sha256"}
        columns, parameters = ", ".join(values), ", ".join(f":{name}" for name in values)
        connection.execute(f"INSERT INTO images ({columns}) VALUES ({parameters})", values)  # noqa: S608 - own names
    connection.close()
    async with open_sqlite(path) as database:
        timeline = SqliteTimelineTable(database)
        page = await timeline.page_by_time("ada", period=Period(), before=None, limit=10)
        assert page.images == [uploaded, taken]
        assert await timeline.months("ada") == [MonthCount("2026-11", 1), MonthCount("2026-07", 1)]


async def test_file_of_a_newer_version_is_rejected_and_unchanged(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RuntimeError, match=r"version 99.*newer program"):
        async with open_sqlite(path):
            pass
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    connection.close()


def test_failed_migration_keeps_the_previous_version(path: Path) -> None:
    path.parent.mkdir()
    connection = connect(path)
    first, broken = ["CREATE TABLE a (x)"], ["CREATE TABLE b (x)", "INSERT INTO nowhere VALUES (1)"]
    migrate(connection, migrations=[first])
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, migrations=[first, ["CREATE TABLE c (x)"], broken])
    assert tuple(connection.execute("PRAGMA user_version").fetchone()) == (1,)
    assert [row["name"] for row in connection.execute("SELECT name FROM sqlite_schema")] == ["a"]
    migrate(connection, migrations=[first, ["CREATE TABLE b (x)"]])
    assert tuple(connection.execute("PRAGMA user_version").fetchone()) == (2,)
    connection.close()


def test_an_older_file_is_copied_before_it_is_migrated(path: Path) -> None:
    path.parent.mkdir()
    connection = connect(path)
    migrate(connection, migrations=[["CREATE TABLE a (x)", "INSERT INTO a VALUES ('kept')"]])
    assert [file.name for file in path.parent.iterdir()] == ["service.db"]
    for _start in range(2):
        migrate(connection, migrations=[["CREATE TABLE a (x)"], ["DROP TABLE a"]])
    connection.close()
    assert modes(path.parent) == {"service.db": 0o600, "service.db.version-1": 0o600}
    copy = sqlite3.connect(path.with_name("service.db.version-1"))
    assert copy.execute("SELECT x FROM a").fetchall() == [("kept",)]
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    copy.close()


def connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
async def test_several_processes_may_open_a_new_or_an_older_file_at_once(path: Path, version: int) -> None:
    path.parent.mkdir()
    if version:
        connection = connect(path)
        migrate(connection, migrations=MIGRATIONS[:version])
        connection.close()
    async with asyncio.TaskGroup() as tasks:
        opened = [tasks.create_task(_open_and_add(path)) for _ in range(4)]
    assert len({task.result() for task in opened}) == 4
    async with open_sqlite(path) as database:
        assert await SqliteImageTable(database).usage("ada") == Usage(4, 4000)


async def _open_and_add(path: Path) -> str:
    async with open_sqlite(path) as database:
        image = make_image("ada")
        await SqliteImageTable(database).add(image, quota=Quota())
        return image.id


async def test_page_and_newest_product_image_read_one_range_of_one_index(path: Path) -> None:
    async with open_sqlite(path) as database:
        statements: list[str] = []
        database._reader.set_trace_callback(statements.append)
        await SqliteImageTable(database).page("ada", before=None, limit=50)
        await SqliteImageTable(database).page("ada", before="0199", limit=50)
        with suppress(ImageMissing):
            await SqliteImageTable(database).get_newest_of_product("ada", "4006381333931")
        database._reader.set_trace_callback(None)
        plans = [await database.read(f"EXPLAIN QUERY PLAN {statement}") for statement in statements]
    assert [[row["detail"] for row in plan] for plan in plans] == [
        ["SEARCH images USING PRIMARY KEY (owner_id=? AND id<?)"],
        ["SEARCH images USING PRIMARY KEY (owner_id=? AND id<?)"],
        ["SEARCH images USING INDEX images_by_ean (owner_id=? AND ean=?)"],
    ]


async def test_timeline_reads_one_range_of_one_index(path: Path) -> None:
    async with open_sqlite(path) as database:
        timeline, statements = SqliteTimelineTable(database), list[str]()
        database._reader.set_trace_callback(statements.append)
        await timeline.page_by_time("ada", period=Period(), before=None, limit=50)
        await timeline.page_by_time("ada", period=Period(start="2024"), before=Position("2025", "0199"), limit=50)
        await timeline.months("ada")
        database._reader.set_trace_callback(None)
        plans = [await database.read(f"EXPLAIN QUERY PLAN {statement}") for statement in statements]
    by_time = "SEARCH images USING INDEX images_by_time (owner_id=? AND sorting_time>? AND (sorting_time,id)<(?,?))"
    by_month = "SEARCH months USING PRIMARY KEY (owner_id=?)"
    assert [[row["detail"] for row in plan] for plan in plans] == [[by_time], [by_time], [by_month]]


async def test_locked_file_is_unavailable_to_writers_only(path: Path) -> None:
    async with open_sqlite(path) as database:
        images = SqliteImageTable(database)
        image = make_image("ada")
        await images.add(image, quota=Quota())
        database._writer.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DependencyUnavailable):
            await images.remove("ada", image.id)
        assert await images.get("ada", image.id) == image
        other.execute("ROLLBACK")
        other.close()
        assert await images.remove("ada", image.id) == image


async def test_full_disk_fails_writes_without_partial_changes(path: Path) -> None:
    async with open_sqlite(path) as database:
        images = SqliteImageTable(database)
        await images.add(make_image("ada"), quota=Quota())
        pages = (await database.execute("PRAGMA page_count"))[0][0]
        await database.execute(f"PRAGMA max_page_count = {pages + 10}")
        large = [make_image("ada", description="x" * 30_000) for _ in range(5)]
        results = await asyncio.gather(*(images.add(each, quota=Quota()) for each in large), return_exceptions=True)
        assert {type(result) for result in results} >= {DependencyUnavailable}
        kept = [image async for image in images.walk("ada")]
        assert len(kept) == 1 + results.count(None)
        assert await images.usage("ada") == Usage(len(kept), 1000 * len(kept))
        await database.execute(f"PRAGMA max_page_count = {pages + 1000}")
        await images.add(make_image("ada"), quota=Quota())


async def test_grouped_writes_succeed_or_fail_independently(path: Path) -> None:
    async with open_sqlite(path) as database:
        release = hold_writer(database)
        insert = "INSERT INTO usage (owner_id, images, bytes) VALUES (?, 1, 1)"
        writes = [asyncio.create_task(database.execute(insert, owner)) for owner in ("ada", "ada", "bob")]
        await asyncio.sleep(0)
        release.set()
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results] == [list, sqlite3.IntegrityError, list]
        assert [row["owner_id"] for row in await database.read("SELECT owner_id FROM usage")] == ["ada", "bob"]


async def test_failed_write_is_rolled_back_completely(path: Path) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO usage (owner_id, images, bytes) VALUES ('ada', 1, 1)")
        raise LookupError

    async with open_sqlite(path) as database:
        with pytest.raises(LookupError):
            await database.write(work)
        assert await database.read("SELECT * FROM usage") == []


async def test_failed_commit_is_rolled_back_and_the_next_succeeds(path: Path) -> None:
    async with open_sqlite(path) as database:
        await database.execute("CREATE TABLE a (x PRIMARY KEY)")
        await database.execute("CREATE TABLE b (x REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
        with pytest.raises(sqlite3.IntegrityError):
            await database.execute("INSERT INTO b VALUES (1)")
        await database.execute("INSERT INTO usage (owner_id, images, bytes) VALUES ('ada', 1, 1)")
        assert await database.read("SELECT * FROM b") == []
        assert len(await database.read("SELECT * FROM usage")) == 1


async def test_canceled_write_does_not_affect_the_others(path: Path) -> None:
    async with open_sqlite(path) as database:
        images = SqliteImageTable(database)
        release = hold_writer(database)
        given_up, kept = make_image("ada"), make_image("ada")
        writes = [asyncio.create_task(images.add(each, quota=Quota())) for each in (given_up, kept)]
        await asyncio.sleep(0)
        writes[0].cancel()
        await asyncio.wait([writes[0]])
        release.set()
        await writes[1]
        assert [image async for image in images.walk("ada")] == [kept]
        assert await images.usage("ada") == Usage(1, 1000)


async def test_started_write_is_finished_after_its_caller_is_canceled(path: Path) -> None:
    async with open_sqlite(path) as database:
        started, release = threading.Event(), threading.Event()

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO usage (owner_id, images, bytes) VALUES ('ada', 1, 1)")
            started.set()
            release.wait(300)
            connection.execute("INSERT INTO usage (owner_id, images, bytes) VALUES ('bob', 1, 1)")

        write = asyncio.create_task(database.write(work))
        await asyncio.to_thread(started.wait, 10)
        write.cancel()
        await asyncio.wait([write])
        release.set()
        await database.execute("INSERT INTO usage (owner_id, images, bytes) VALUES ('eve', 1, 1)")
        rows = await database.read("SELECT owner_id FROM usage ORDER BY owner_id")
        assert [row["owner_id"] for row in rows] == ["ada", "bob", "eve"]


async def test_expired_rows_do_not_accumulate(path: Path) -> None:
    async with open_sqlite(path) as database:
        accounts, counters = SqliteAccountTable(database), SqliteCounterTable(database)
        for n in range(20):
            await accounts.add_session(make_session("ada", expires_at=NOON))
            await counters.increment(f"key-{n}", now=NOON - timedelta(hours=1), window_seconds=60)
        running = make_session("ada", expires_at=NOON + timedelta(days=1))
        await accounts.add_session(running)
        await accounts.rotate_session(
            "ada", running.id, old_hash=running.token_hash, new_hash="new", expires_at=running.expires_at, now=NOON
        )
        await counters.increment("key", now=NOON, window_seconds=60)
        assert [row["id"] for row in await database.read("SELECT id FROM sessions")] == [running.id]
        assert [row["key"] for row in await database.read("SELECT key FROM counters")] == ["key"]


def hold_writer(database: SqliteDatabase) -> threading.Event:
    """Keep the writer busy until the event is set, so that writes in the meantime are grouped."""
    release = threading.Event()
    database._writer_thread.submit(release.wait, 10)
    return release


def damage(path: Path) -> None:
    content, page = bytearray(path.read_bytes()), 4096
    content[-3 * page : -page] = b"\xff" * (2 * page)
    path.write_bytes(content)


def make_other_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)


async def test_a_damaged_file_is_found_after_an_unclean_stop(path: Path) -> None:
    async with open_sqlite(path) as database:
        for _ in range(200):
            await SqliteImageTable(database).add(make_image("ada"), quota=Quota())
    damage(path)
    # After a clean stop, the file is not checked.
    async with open_sqlite(path, is_only_process=True):
        path.with_name("service.db-wal").touch()
        with pytest.raises(DatabaseDamaged, match="python -m app restore"):
            async with open_sqlite(path, is_only_process=True):
                pass
        async with open_sqlite(path):
            pass


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    await asyncio.to_thread(make_other_file, path)
    with pytest.raises(DatabaseDamaged, match="not a database"):
        async with open_sqlite(path):
            pass


async def test_a_read_only_database_is_not_writable(path: Path) -> None:
    async with open_sqlite(path) as database:
        await database.check_writable()
        database._writer.execute("PRAGMA query_only = ON")
        with pytest.raises(DependencyUnavailable):
            await SqliteImageTable(database).check()
