"""Tables in one SQLite file, opened by `open_sqlite`."""

from app.tables.sqlite.accounts import SqliteAccountTable
from app.tables.sqlite.administration import SqliteAuditTable, SqliteOwnerIndex, SqliteServerKeyTable
from app.tables.sqlite.consistency import SqliteReconcileTable, SqliteStoreIdTable
from app.tables.sqlite.counters import SqliteCounterTable
from app.tables.sqlite.database import SqliteDatabase, open_sqlite
from app.tables.sqlite.direct_uploads import SqliteDirectUploadTable
from app.tables.sqlite.events import SqliteEventTable, SqliteWebhookEndpointTable
from app.tables.sqlite.idempotency import SqliteIdempotencyTable
from app.tables.sqlite.images import SqliteImageTable
from app.tables.sqlite.jobs import SqliteJobTable
from app.tables.sqlite.owners import SqliteOwnerTable
from app.tables.sqlite.shares import SqliteShareTable
from app.tables.sqlite.timeline import SqliteTimelineTable
from app.tables.sqlite.tombstones import SqliteTombstoneTable

__all__ = [
    "SqliteAccountTable",
    "SqliteAuditTable",
    "SqliteCounterTable",
    "SqliteDatabase",
    "SqliteDirectUploadTable",
    "SqliteEventTable",
    "SqliteIdempotencyTable",
    "SqliteImageTable",
    "SqliteJobTable",
    "SqliteOwnerIndex",
    "SqliteOwnerTable",
    "SqliteReconcileTable",
    "SqliteServerKeyTable",
    "SqliteShareTable",
    "SqliteStoreIdTable",
    "SqliteTimelineTable",
    "SqliteTombstoneTable",
    "SqliteWebhookEndpointTable",
    "open_sqlite",
]
