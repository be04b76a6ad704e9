#!/usr/bin/env bash
# schemathesis.sh FOLDER URL: calls whatever the OpenAPI document at URL allows, and holds the answers against it.
# /wait is left out: it waits.
# It makes and deletes topics and connectors: only for a stack of the tests' own. API_SEED repeats a run.
set -euo pipefail

folder=$1
url=$2
cd "$folder" # it writes what it has found there
exec venv/bin/schemathesis run "$url/openapi.json" \
  --seed "${API_SEED:-1}" --max-examples "${API_EXAMPLES:-15}" --phases examples,fuzzing --request-timeout 20 --exclude-path /wait \
  --checks not_a_server_error,status_code_conformance,response_schema_conformance,content_type_conformance
