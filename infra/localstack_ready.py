"""Deploys template.yaml to the LocalStack of docker-compose.yml, which executes this file each time it has started.

LocalStack loses all resources when it stops. It reports an error in this file at `/_localstack/init/ready`.
"""

from __future__ import annotations

import os
import sys

# LocalStack executes the text of this file, without its path. docker-compose.yml mounts the folder of `infra` here.
sys.path.append("/opt/image-upload-service")

from infra.deploy import STACK, deploy_target

_environment = {name: value for name, value in os.environ.items() if value}
# LocalStack is ready only after this file has ended, so it must not be waited for.
deploy_target("data", STACK, {**_environment, "LOCALSTACK_ENDPOINT_URL": "http://127.0.0.1:4566"}, wait_seconds=0)
