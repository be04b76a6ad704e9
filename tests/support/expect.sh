# shellcheck shell=bash
# What the tests of scripts share: a line for each check, and their number at the end. Sourced by them.

failures=0

ok() { printf 'ok    %s\n' "$1"; }
fail() {
  printf 'FAIL  %s\n%s\n' "$1" "$2"
  failures=$((failures + 1))
}

# expect CODE TEXT COMMAND...: it exits with CODE, and TEXT (a regular expression) is in what it prints.
expect() {
  local code=$1 text=$2 output status=0
  shift 2
  output=$("$@" 2>&1 </dev/null) || status=$?
  if ((status == code)) && grep -Eq -- "$text" <<<"$output"; then
    ok "$* : $text"
  else
    fail "$*" "$(printf 'expected exit code %s and /%s/, got %s and:\n%s' "$code" "$text" "$status" "$output")"
  fi
}

# expect_that WHAT COMMAND...
expect_that() {
  local what=$1
  shift
  if "$@"; then ok "$what"; else fail "$what" "$*"; fi
}

end_of_checks() {
  if ((failures)); then
    printf '%s of the checks failed\n' "$failures"
    exit 1
  fi
}
