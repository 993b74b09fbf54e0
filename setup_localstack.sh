#!/bin/sh
# Creates the resources of infra/template.yaml (bucket, table, queues) in LocalStack. It can be run repeatedly.
# For another emulator or port: LOCALSTACK_ENDPOINT_URL=http://localhost:4567 ./setup_localstack.sh
set -eu
cd "$(dirname "$0")"
export LOCALSTACK_ENDPOINT_URL="${LOCALSTACK_ENDPOINT_URL:-http://localhost:4566}"
export AWS_ACCESS_KEY_ID="${AWS_ACCESS_KEY_ID:-test}" AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:-test}"
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" infra/deploy.py
