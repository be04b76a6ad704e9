#!/usr/bin/env bash
# Builds the fuzz targets and runs them. Anything that they find ends it with 1, and says how to see it again.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<END
usage: tests/fuzz/run.sh [TARGET [SECONDS]]

  (none)            every target but config for 15 s, each time from the same inputs
  TARGET [SECONDS]  one target, 60 s by default; what it learns stays in build/fuzz/corpus

Targets: ${targets[*]}. LOCKSTEP_SEED=NUMBER makes its random numbers those of another run.
END
}

targets=(envelope value converters config)
seed=${LOCKSTEP_SEED:-$((RANDOM << 15 | RANDOM))}
found=build/fuzz/found

build() {
  cmake --workflow --preset fuzz >build/fuzz.log 2>&1 || { cat build/fuzz.log && return 1; }
  rm -rf build/fuzz/seeds
  build/fuzz/bin/fuzz_seeds . build/fuzz/seeds
}

# fuzz TARGET SECONDS CORPUS: new inputs go to CORPUS.
fuzz() {
  local target=$1 seconds=$2 corpus=$3 log=build/fuzz/$1.log file
  local options=(-seed="$seed" -max_total_time="$seconds" -timeout=30 -report_slow_units=30 -rss_limit_mb=2048 -print_final_stats=1)
  if [[ $target == envelope || $target == value ]]; then options+=(-dict=tests/fuzz/json.dict); fi
  mkdir -p "$corpus" "$found"
  if "build/fuzz/bin/fuzz_$target" "${options[@]}" -artifact_prefix="$found/$target-" "$corpus" \
    "build/fuzz/seeds/$target" "tests/fuzz/inputs/$target" >"$log" 2>&1; then
    printf '%s: %s inputs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")"
    return
  fi
  grep -a -A 40 -m 1 -E '^FAILED|^==[0-9]+== ?ERROR:|runtime error:' "$log" || tail -n 40 "$log"
  file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  if [[ -n $file ]]; then
    printf '%s: the input, in base64:\n%s\nreplay: base64 -d >input, then build/fuzz/bin/fuzz_%s input\n' \
      "$target" "$(base64 -w 0 "$file")" "$target"
  fi
  return 1
}

main() {
  local target failed=0
  if [[ ${1:-} == -h || ${1:-} == --help ]]; then usage && exit; fi
  if (($# > 2)) || [[ $# -gt 0 && " ${targets[*]} " != *" $1 "* ]]; then usage >&2 && exit 2; fi
  mkdir -p build
  build
  printf 'LOCKSTEP_SEED=%s\n' "$seed"
  if (($# > 0)); then
    fuzz "$1" "${2:-60}" "build/fuzz/corpus/$1"
    exit
  fi
  for target in envelope value converters; do
    rm -rf "build/fuzz/new/$target"
    fuzz "$target" 15 "build/fuzz/new/$target" || failed=1
  done
  return $failed
}

main "$@"
