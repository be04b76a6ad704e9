# shellcheck shell=bash
# What the tests of scripts share: a line for each check, and their number at the end. Sourced by them.

failures=0

ok() { printf 'ok    %s\n' "$1"; }
fail() { # WHAT [WHAT-WAS-SEEN]
  printf 'FAIL  %s\n' "$1"
  (($# < 2)) || printf '%s\n' "$2"
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

# eventually SECONDS WHAT COMMAND...: until it succeeds.
eventually() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    if ((SECONDS >= deadline)); then
      fail "$what" "not within its time: $*"
      return
    fi
    sleep 0.2
  done
  ok "$what"
}

# work_in_copy FOLDER: the project's files, in a path with a space, become the working directory. At the script's end
# they and what setup.sh has made there go, and all else in FOLDER.
work_in_copy() {
  copy_folder=$1
  trap remove_copy EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  rm -rf "$copy_folder"
  mkdir -p "$copy_folder/a path/lockstep"
  git ls-files -z | xargs -0 cp --parents -t "$copy_folder/a path/lockstep" && cd "$copy_folder/a path/lockstep" || exit 1
}

remove_copy() {
  (cd "$copy_folder/a path/lockstep" && ./setup.sh reset) >/dev/null 2>&1
  rm -rf "$copy_folder"
}

end_of_checks() {
  if ((failures)); then
    printf '%s of the checks failed\n' "$failures"
    exit 1
  fi
}
