"""Tables in one DynamoDB table."""

from app.tables.dynamodb.accounts import DynamoDBAccountTable
from app.tables.dynamodb.administration import DynamoDBAuditTable, DynamoDBOwnerIndex, DynamoDBServerKeyTable
from app.tables.dynamodb.consistency import DynamoDBReconcileTable, DynamoDBStoreIdTable
from app.tables.dynamodb.counters import DynamoDBCounterTable
from app.tables.dynamodb.direct_uploads import DynamoDBDirectUploadTable
from app.tables.dynamodb.events import DynamoDBEventTable, DynamoDBWebhookEndpointTable
from app.tables.dynamodb.idempotency import DynamoDBIdempotencyTable
from app.tables.dynamodb.images import DynamoDBImageTable
from app.tables.dynamodb.jobs import DynamoDBJobTable
from app.tables.dynamodb.owners import DynamoDBOwnerTable
from app.tables.dynamodb.shares import DynamoDBShareTable
from app.tables.dynamodb.table import DynamoDBTable, make_config
from app.tables.dynamodb.timeline import DynamoDBTimelineTable
from app.tables.dynamodb.tombstones import DynamoDBTombstoneTable

__all__ = [
    "DynamoDBAccountTable",
    "DynamoDBAuditTable",
    "DynamoDBCounterTable",
    "DynamoDBDirectUploadTable",
    "DynamoDBEventTable",
    "DynamoDBIdempotencyTable",
    "DynamoDBImageTable",
    "DynamoDBJobTable",
    "DynamoDBOwnerIndex",
    "DynamoDBOwnerTable",
    "DynamoDBReconcileTable",
    "DynamoDBServerKeyTable",
    "DynamoDBShareTable",
    "DynamoDBStoreIdTable",
    "DynamoDBTable",
    "DynamoDBTimelineTable",
    "DynamoDBTombstoneTable",
    "DynamoDBWebhookEndpointTable",
    "make_config",
]
