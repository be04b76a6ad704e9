# shellcheck shell=bash
# Background processes with a pid file and a log each: start, look, wait, end. And the ports that they are on.
# Sourced by local.sh and setup.sh, which set RUN_DIR and LOG_DIR first.
#
# A pid file holds "pid start-time boot-id". A process is ours only if all three still fit, so a reused pid is
# never signalled.

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# identity PID: prints what the pid file holds; fails if no such process lives. A zombie does not live, unless it is
# only the first thread that has ended: the others still hold what the process had open, its port for instance.
identity() {
  local stat fields boot threads
  [[ $1 =~ ^[0-9]+$ ]] || return 1 # /proc//stat exists too
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${stat##*) }" # after "pid (name) ": state is field 0, the start time field 19
  if [[ ${fields[0]} == Z ]]; then
    threads=("/proc/$1/task"/*)
    ((${#threads[@]} > 1)) || return 1
  fi
  boot=$(</proc/sys/kernel/random/boot_id)
  printf '%s %s %s\n' "$1" "${fields[19]}" "$boot"
}

# pid_of NAME: prints the pid of a living process that we started as NAME; fails if there is none.
pid_of() {
  local recorded now
  { read -r recorded <"$RUN_DIR/$1.pid"; } 2>/dev/null || return 1
  now=$(identity "${recorded%% *}") && [[ $now == "$recorded" ]] && printf '%s\n' "${recorded%% *}"
}

running() { pid_of "$1" >/dev/null; }

log_of() { printf '%s\n' "$LOG_DIR/$1.log"; }

rotate_log() { # NAME
  local log
  log=$(log_of "$1")
  if [[ -f $log && $(stat -c %s "$log") -gt 20000000 ]]; then mv "$log" "$log.1"; fi
}

# launch NAME COMMAND...: in a session of its own, so that Ctrl-C in the terminal does not reach it.
launch() {
  local name=$1 log
  shift
  log=$(log_of "$name")
  mkdir -p "$RUN_DIR" "$LOG_DIR"
  rotate_log "$name"
  # From /: a service must not hold on to the folder that it was started in.
  # Descriptor 9 is the caller's lock: the process must not keep it.
  setsid env -C / "$@" </dev/null >>"$log" 2>&1 9>&- &
  identity $! >"$RUN_DIR/$name.pid" || true # dead already: whoever waits for it will say so
  disown
}

fail_with_log() { # NAME MESSAGE
  printf 'error: %s\n' "$2" >&2
  if [[ -f $(log_of "$1") ]]; then
    printf -- '--- the end of %s:\n' "$(log_of "$1")" >&2
    tail -n 15 "$(log_of "$1")" >&2
  fi
  exit 1
}

# wait_ready NAME SECONDS COMMAND...: until COMMAND succeeds; an end of the process or of the time is an error.
wait_ready() {
  local name=$1 seconds=$2 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    running "$name" || fail_with_log "$name" "$name ended while starting"
    ((SECONDS < deadline)) || fail_with_log "$name" "$name is not ready after $seconds s"
    sleep 0.1
  done
}

# wait_end SECONDS IDENTITY: fails if the process still lives after that time.
wait_end() {
  local deadline=$((SECONDS + $1))
  while [[ $(identity "${2%% *}") == "$2" ]]; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# signal_process NAME SIGNAL: silent if it does not run.
signal_process() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill -s "$2" "$pid" 2>/dev/null || ! running "$1" || die "$1 (pid $pid) runs under another account: stop it from there"
}

# await_stop NAME SECONDS: after a signal that asks it to end. Too slow is said, then forced.
await_stop() {
  local recorded
  if running "$1"; then
    recorded=$(<"$RUN_DIR/$1.pid")
    if ! wait_end "$2" "$recorded"; then
      say "$1 did not stop within $2 s: killed"
      signal_process "$1" KILL
      wait_end 10 "$recorded" || die "$1 (pid ${recorded%% *}) does not end even when killed"
    fi
  fi
  rm -f "$RUN_DIR/$1.pid"
}

# shellcheck disable=SC2034 # those that source this use it
declare -A default_port=([SOURCE_PORT]=5432 [TARGET_PORT]=5433 [KAFKA_PORT]=9092 [KAFKA_CONTROLLER_PORT]=9093
  [CONNECT_PORT]=8083 [REDIS_PORT]=6379 [HTTP_PORT]=8000)

need_port() { # VARIABLE VALUE
  [[ $2 =~ ^[1-9][0-9]{0,4}$ && $2 -lt 65536 ]] || die "$1=$2 is not a port number"
}

# port_taken PORT: whether anything listens on it, on any address. Looked up rather than tried: a probe would
# disturb a stranger's server.
port_taken() {
  local hex tables=(/proc/net/tcp)
  [[ -r /proc/net/tcp6 ]] && tables+=(/proc/net/tcp6)
  printf -v hex '%04X' "$1"
  awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' "${tables[@]}"
}
