#!/usr/bin/env bash
# Prints the Debian mirror that this machine's own apt uses, or DEBIAN_MIRROR.
set -euo pipefail

found=${DEBIAN_MIRROR:-}
if [[ -z $found ]]; then
  # shellcheck disable=SC2016  # the variables are apt's
  found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
fi
if [[ -z $found ]]; then
  printf 'error: apt knows no Debian mirror here: name one with DEBIAN_MIRROR=...\n' >&2
  exit 1
fi
printf '%s\n' "$found"
