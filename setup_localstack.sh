#!/bin/sh
# Makes the bucket, the table and the queues of infra/template.yaml in LocalStack; running it again is harmless.
# Another stand-in or port: LOCALSTACK_ENDPOINT_URL=http://localhost:4567 ./setup_localstack.sh
set -eu
cd "$(dirname "$0")"
export LOCALSTACK_ENDPOINT_URL="${LOCALSTACK_ENDPOINT_URL:-http://localhost:4566}"
export AWS_ACCESS_KEY_ID="${AWS_ACCESS_KEY_ID:-test}" AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:-test}"
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" infra/deploy.py
