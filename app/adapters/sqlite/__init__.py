"""The tables of the embedded backend: one SQLite file, opened once by `open_sqlite`."""

from app.adapters.sqlite.accounts import SqliteAccountTable
from app.adapters.sqlite.database import SqliteDatabase, open_sqlite
from app.adapters.sqlite.images import SqliteImageTable
from app.adapters.sqlite.jobs import SqliteJobTable
from app.adapters.sqlite.once import SqliteOnceTable
from app.adapters.sqlite.owners import SqliteOwnerTable
from app.adapters.sqlite.reconcile import SqliteReconcileTable
from app.adapters.sqlite.tombstones import SqliteTombstoneTable
from app.adapters.sqlite.uploads import SqliteDirectUploadTable

__all__ = [
    "SqliteAccountTable",
    "SqliteDatabase",
    "SqliteDirectUploadTable",
    "SqliteImageTable",
    "SqliteJobTable",
    "SqliteOnceTable",
    "SqliteOwnerTable",
    "SqliteReconcileTable",
    "SqliteTombstoneTable",
    "open_sqlite",
]
