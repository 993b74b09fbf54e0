"""Checks of the AWS services that the settings select. Imported only if they select one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiobotocore.config import AioConfig

from app.container.aws import AwsClient, open_aws_client
from app.doctor.finding import Finding, failed, passed
from app.doctor.local import compare_clocks
from app.settings import Settings
from app.settings_fields import AwsService

_CONFIG = AioConfig(
    connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}
)
_MISSING = ("404", "NoSuchBucket", "ResourceNotFoundException", "QueueDoesNotExist", "NonExistentQueue")
_SKEWED = ("RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired")
_CREATE = "Create it with python infra/deploy.py, or correct the setting"

Check = Callable[[AwsClient, AwsService], Awaitable[Finding]]


async def check_aws(settings: Settings) -> AsyncIterator[Finding]:
    """Check each service, then this machine's clock, by the time in the responses of the first service."""
    checks: dict[str, Check] = {
        "s3": lambda aws, service: _check_bucket(aws.client, settings.s3_bucket, service),
        "dynamodb": lambda aws, service: _check_table(aws.client, settings.dynamodb_table_name, service),
        "sqs": lambda aws, service: _check_queue(aws.client, settings.sqs_queue_name, service),
    }
    clock: Finding | None = None
    for name in settings.aws_services:
        service = settings.aws_service(name)
        place = f"{service.endpoint_url} (not AWS)" if service.endpoint_url else f"AWS, region {service.region}"
        yield passed(f"{name} endpoint", place)
        async with open_aws_client(service, _CONFIG) as aws:
            yield await checks[name](aws, service)
            if clock is None and aws.clock.is_known:
                clock = compare_clocks(aws.clock(), store=name)
    if clock:
        yield clock


async def _check_bucket(client: Any, bucket: str, service: AwsService) -> Finding:  # noqa: ANN401 - botocore has no types
    try:
        response = await client.head_bucket(Bucket=bucket)
    except Exception as error:  # noqa: BLE001 - every error is a finding
        region = _header(error, "x-amz-bucket-region")
        if region and region != service.region:
            return _other_region(bucket, region, service)
        return _failure("bucket", f"bucket {bucket!r} (S3_BUCKET)", error, service)
    if (region := response.get("BucketRegion", service.region)) != service.region:
        return _other_region(bucket, region, service)
    return passed("bucket", f"{bucket!r} exists")


def _other_region(bucket: str, region: str, service: AwsService) -> Finding:
    return failed(
        "bucket", f"{bucket!r} is in region {region}, but the service uses {service.region}. Set S3_REGION={region}."
    )


async def _check_table(client: Any, table: str, service: AwsService) -> Finding:  # noqa: ANN401
    try:
        response = await client.describe_table(TableName=table)
    except Exception as error:  # noqa: BLE001
        return _failure("table", f"table {table!r} (DYNAMODB_TABLE_NAME)", error, service)
    if (status := response["Table"]["TableStatus"]) != "ACTIVE":
        return failed("table", f"{table!r} is {status}. Wait until it is ACTIVE.")
    return passed("table", f"{table!r} exists")


async def _check_queue(client: Any, queue: str, service: AwsService) -> Finding:  # noqa: ANN401
    try:
        await client.get_queue_url(QueueName=queue)
    except Exception as error:  # noqa: BLE001
        return _failure("queue", f"queue {queue!r} (SQS_QUEUE_NAME)", error, service)
    return passed("queue", f"{queue!r} exists")


def _failure(check: str, what: str, error: Exception, service: AwsService) -> Finding:
    code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
    if any(missing in code for missing in _MISSING):
        return failed(check, f"there is no {what} in region {service.region}. {_CREATE}.")
    if code in _SKEWED:
        return failed(check, f"the request was refused ({code}). Check the keys, and this machine's clock.")
    if code in ("403", "AccessDenied", "AccessDeniedException"):
        return failed(check, f"access to the {what} is denied. Attach the policy of the output ServicePolicyArn.")
    return failed(check, f"the {what} cannot be checked: {code or repr(error)}. Check the endpoint, keys and network.")


def _header(error: Exception, name: str) -> str | None:
    headers = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    value: str | None = headers.get(name)
    return value
