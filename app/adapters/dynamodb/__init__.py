"""The tables of the AWS backend: one DynamoDB table, opened once by `open_dynamodb`."""

from app.adapters.dynamodb.accounts import DynamoDBAccountTable
from app.adapters.dynamodb.images import DynamoDBImageTable
from app.adapters.dynamodb.jobs import DynamoDBJobTable
from app.adapters.dynamodb.once import DynamoDBOnceTable
from app.adapters.dynamodb.owners import DynamoDBOwnerTable
from app.adapters.dynamodb.reconcile import DynamoDBReconcileTable
from app.adapters.dynamodb.table import DynamoDBTable, open_dynamodb
from app.adapters.dynamodb.tombstones import DynamoDBTombstoneTable
from app.adapters.dynamodb.uploads import DynamoDBDirectUploadTable

__all__ = [
    "DynamoDBAccountTable",
    "DynamoDBDirectUploadTable",
    "DynamoDBImageTable",
    "DynamoDBJobTable",
    "DynamoDBOnceTable",
    "DynamoDBOwnerTable",
    "DynamoDBReconcileTable",
    "DynamoDBTable",
    "DynamoDBTombstoneTable",
    "open_dynamodb",
]
