#!/usr/bin/env bash
# environment.sh FOLDER: a Python environment in FOLDER/venv with what requirements.txt says, unless it is there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
mkdir -p "$folder"
cmp -s "$here/requirements.txt" "$folder/venv/installed.txt" && exit
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
cp "$here/requirements.txt" "$folder/venv/installed.txt"
