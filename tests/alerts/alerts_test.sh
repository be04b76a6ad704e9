#!/usr/bin/env bash
# alerts_test.sh FOLDER: config/prometheus-alerts.yaml is well-formed, and fires when it should. FOLDER is for promtool,
# which comes out of Debian's package without installing it: that may start a server.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rules=$here/../../config/prometheus-alerts.yaml
folder=$1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

download() {
  local package=prometheus
  if apt-cache show promtool >/dev/null 2>&1; then package=promtool; fi # since Debian 13
  timeout 60 apt-get download -qq -o Acquire::Retries=3 "$package"
}

fetch_promtool() {
  [[ ! -x $folder/promtool ]] || return 0
  local package=$folder/package
  rm -rf "$package"
  mkdir "$package"
  cd "$package"
  # Without lists, as in a container's image, only root can do better.
  if ! download && ! { ((EUID == 0)) && apt-get update -qq -o Acquire::Retries=3 && download; }; then
    printf 'error: no package promtool or prometheus, which has it: apt-get update, then try again\n' >&2
    exit 1
  fi
  dpkg -x ./*.deb .
  mv usr/bin/promtool "$folder"
  cd "$here"
  rm -rf "$package"
}

fetch_promtool
"$folder/promtool" check rules "$rules"
cp "$rules" "$here/alerts_test.yaml" "$folder" # it finds the rules beside itself
"$folder/promtool" test rules "$folder/alerts_test.yaml"

untested=$(comm -23 <(sed -n 's/^ *- alert: //p' "$rules" | sort) \
  <(sed -n 's/^ *alertname: \([A-Za-z]*\)$/\1/p' "$here/alerts_test.yaml" | sort -u))
if [[ -n $untested ]]; then
  printf 'error: tests/alerts/alerts_test.yaml has no test in which these fire: %s\n' "${untested//$'\n'/, }" >&2
  exit 1
fi
