#!/usr/bin/env bash
# modules.sh FOLDER: installs what package-lock.json says into FOLDER/node_modules, unless it is there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
mkdir -p "$folder"
cmp -s "$here/package-lock.json" "$folder/node_modules/.installed" && exit
cp "$here/package.json" "$here/package-lock.json" "$folder"
npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts
cp "$here/package-lock.json" "$folder/node_modules/.installed"
