#!/usr/bin/env bash
# What a reviewer should not have to look for: format, what folders may include, clang-tidy, shellcheck.
# Prints FILE:LINE: what is wrong; exits with 1 if there is anything.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<END
usage: tools/lint.sh [format|includes|shell|tidy]...     (all, without an argument)

  format    clang-format, as .clang-format says; \`tools/lint.sh format --fix\` formats instead
  includes  each library in its own folder only, and folders only along the flow
  shell     shellcheck
  tidy      clang-tidy, as .clang-tidy says; what has not changed since it passed is not looked at again
END
}

sources() { find src include tools tests -name '*.[ch]pp' | sort; }
scripts() { find setup.sh .ci tools tests examples -name '*.sh' -o -path .ci/run | sort; }

# --- format -----------------------------------------------------------------------------------------------------------

# Every version of clang-format has its own idea of a few lines: only this one's counts.
format_version=14

format() {
  local program=clang-format found
  if command -v clang-format-$format_version >/dev/null; then program=clang-format-$format_version; fi
  found=$($program --version 2>/dev/null | sed 's/.*version \([0-9]*\).*/\1/') || true
  if [[ $found != "$format_version" ]]; then
    printf 'format: not checked: the files are formatted with clang-format %s, this is %s: install clang-format-%s\n' \
      $format_version "${found:-none}" $format_version
    return 1
  fi
  if [[ ${1:-} == --fix ]]; then
    sources | xargs $program -i
  else
    found=$(sources | xargs $program --dry-run --Werror --ferror-limit=1 2>&1) && return
    grep -E 'error:' <<<"$found" || printf '%s\n' "$found"
    return 1
  fi
}

# --- includes ---------------------------------------------------------------------------------------------------------

# The headers of a library, and the folders that may include them.
declare -A library_headers=(
  [libpqxx]='pqxx[/>]|libpq-fe\.h' [librdkafka]='librdkafka/' [simdjson]='simdjson\.h' [yaml-cpp]='yaml-cpp/'
  [libsystemd]='systemd/' [Boost]='boost/' [prometheus-cpp]='prometheus/'
  [libcurl]='curl/' [libcrypto]='openssl/' [hiredis]='hiredis/')
declare -A library_folders=(
  [libpqxx]='src/postgres include/lockstep/postgres tools tests' [librdkafka]='src/kafka tests' [simdjson]='src/debezium' [yaml-cpp]='src/config'
  [libsystemd]='src/observe' [Boost]='src/http tests' [prometheus-cpp]='src/http' [libcurl]='src/webhook src/control tools' [libcrypto]='src/webhook' [hiredis]='src/threshold')

# What a folder may include of others' (lockstep/NAME/...), beside itself: a folder, or one header of it. The daemon and
# the tools put all together.
declare -A may_include=(
  [model]='' [observe]='model' [config]='model kafka/properties.hpp' [kafka]='model observe' [debezium]='model' [batch]='model'
  [postgres]='model observe batch' [pipeline]='model observe batch kafka debezium' [http]='model observe pipeline batch' [live]='model observe kafka http'
  [event]='model' [console]='model event' [webhook]='model batch event'
  [control]='model observe config kafka http pipeline batch'
  [threshold]='model batch event pipeline' [source]='model observe config/duration.hpp kafka postgres pipeline http')

includes() {
  local found=0 library folder allowed line name header
  for library in "${!library_headers[@]}"; do
    local outside=()
    for folder in ${library_folders[$library]}; do outside+=(-not -path "$folder/*"); done
    while IFS= read -r line; do
      printf '%s: only %s may include %s\n' "${line%%:#*}" "${library_folders[$library]// / and }" "$library"
      found=1
    done < <(find src include tools tests -name '*.[ch]pp' "${outside[@]}" -exec \
      grep -HnE "^#include [<\"](${library_headers[$library]})" {} +)
  done
  for folder in "${!may_include[@]}"; do
    allowed=" $folder ${may_include[$folder]} "
    while IFS= read -r line; do
      header=$(sed -E 's|.*#include "lockstep/([^"]+)".*|\1|' <<<"$line")
      name=${header%%/*}
      [[ $allowed == *" $name "* || $allowed == *" $header "* ]] && continue
      printf '%s: %s may not include lockstep/%s: it knows only%s\n' "${line%%:#*}" "$folder" "$name" "${allowed% }"
      found=1
    done < <(grep -rnE '^#include "lockstep/[a-z]+/' "src/$folder" "include/lockstep/$folder" 2>/dev/null)
  done
  for folder in src/*/ include/lockstep/*/; do
    name=$(basename "$folder")
    [[ $name == daemon || -v may_include[$name] ]] && continue
    printf '%s:1: a folder that tools/lint.sh does not know: say there what it may include\n' "$folder"
    found=1
  done
  return $found
}

# --- shell ------------------------------------------------------------------------------------------------------------

shell() { scripts | xargs shellcheck -x --format=gcc; }

# --- tidy -------------------------------------------------------------------------------------------------------------

# A library's or program's files together, as one that includes them all: what they include is parsed once. What has
# passed leaves a stamp with the hash of all that the result depends on: the files, every header of the project, the
# flags, the checks, the program.
tidy() {
  local common unit key failed=0 pending=()
  cmake --preset lint >/dev/null || return
  cp tests/.clang-tidy build/lint/tests/ # clang-tidy looks for it beside the file that includes the others
  mkdir -p build/lint/passed
  common=$({ clang-tidy --version && cat .clang-tidy tests/.clang-tidy build/lint/compile_commands.json &&
    sources | grep 'hpp$' | xargs cat; } | sha256sum)
  while IFS= read -r unit; do
    key=$({ printf '%s' "$common" && cat "$unit" && sed -n 's/^#include "\(.*\)"$/\1/p' "$unit" | xargs cat; } | sha256sum)
    [[ -e build/lint/passed/${key%% *} ]] || pending+=("$unit" "${key%% *}")
  done < <(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' build/lint/compile_commands.json)
  unused_using || failed=1
  if ((${#pending[@]})); then
    printf '%s\n' "${pending[@]}" | xargs -P "$(nproc)" -n 2 bash -c 'tidy_unit "$@"' tidy || failed=1
  fi
  return $failed
}

# clang-tidy's own check for it looks only at the file that includes the others.
unused_using() {
  local found=0 file line text name
  while IFS=: read -r file line text; do
    name=${text##*::}
    name=${name%;}
    (($(grep -cw "$name" "$file") > 1)) && continue
    printf '%s:%s: using-declaration of %s, which the file does not use\n' "$file" "$line" "$name"
    found=1
  done < <(sources | grep 'cpp$' | xargs grep -nE '^ *using [A-Za-z0-9_:]+::[A-Za-z0-9_]+;$')
  return $found
}

tidy_unit() { # FILE KEY
  local output
  if output=$(clang-tidy --quiet -p build/lint "$1" 2>/dev/null); then
    : >"build/lint/passed/$2"
  else
    printf '%s\n' "${output//"$PWD/"/}"
    return 1
  fi
}
export -f tidy_unit

# ----------------------------------------------------------------------------------------------------------------------

main() {
  local check failed=() arguments=("$@")
  if [[ ${1:-} == -h || ${1:-} == --help ]]; then usage && exit; fi
  if [[ $* == 'format --fix' ]]; then
    format --fix
    exit
  fi
  if (($# == 0)); then arguments=(format includes shell tidy); fi
  for check in "${arguments[@]}"; do
    case $check in
      format | includes | shell | tidy) "$check" || failed+=("$check") ;;
      *) usage >&2 && exit 2 ;;
    esac
  done
  if ((${#failed[@]})); then
    printf 'lint: %s failed\n' "${failed[*]}" >&2
    exit 1
  fi
}

main "$@"
