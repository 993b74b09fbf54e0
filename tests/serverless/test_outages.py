"""Some and then all calls of the functions to the store, the table and the queue fail: no data is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.conftest import environment_for
from tests.acceptance.test_crash import reconcile, reconcile_later
from tests.acceptance.test_outages import DEPENDENCIES, check, refused, use
from tests.acceptance.worker_process import dead_letters, keys, wait_until_done
from tests.fault_proxy import Fault, FaultProxy
from tests.serverless.conftest import SECONDS, Stack, changed, deployed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * SECONDS)]


def test_outage_of_each_dependency_loses_no_data(tmp_path: Path):
    with deployed(tmp_path / "emulator") as stack:
        expected = use_during_outages(stack)
        direct = environment_for(tmp_path / "data", stack.aws)
        findings = reconcile(direct)
        assert findings.records_lost == findings.records_kept == findings.thumbnails_failed == 0
        asyncio.run(reconcile_later(direct))
        again = reconcile(direct)
        assert again.unreferenced == again.records_lost == 0
        owner = next(iter(expected)).rpartition("/")[0]
        assert Counter(key.rpartition("/")[0] for key in keys(stack.aws, f"{owner}/")) == expected


def use_during_outages(stack: Stack) -> dict[str, int]:
    """Return the expected number of objects under the prefix of each image."""
    with FaultProxy(stack.url, seed=1).listening() as proxy, ExitStack() as contexts:
        shaken = {"LOCALSTACK_ENDPOINT_URL": proxy.url, "S3_PRESIGNED_URL_ENDPOINT": stack.url}
        for function in ("ApiFunction", "WorkerFunction"):
            contexts.enter_context(changed(stack, function, **shaken))
        service = stack.service
        headers = service.register()
        by_dependency = asyncio.run(use(service, headers, proxy))
        assert refused(by_dependency["queue"]) == set()
        assert refused(by_dependency["table"]) == {"upload", "upload later", "list", "announce", "delete"}
        assert refused(by_dependency["store"]) == {"upload", "upload later"}
        for dependency in DEPENDENCIES:
            assert all(proxy.failed[dependency, fault] for fault in Fault)
        jobs = wait_until_done(service, headers, seconds=SECONDS)
        assert {job["status"] for job in jobs} == {"completed"}
        expected = check(service, headers, [client for clients in by_dependency.values() for client in clients])
        assert dead_letters(stack.aws) == []
        return expected
