#!/usr/bin/env bash
# config/lockstepd.service under a real systemd: installed by its own lines, with a real Kafka and PostgreSQL.
# systemd runs in a container, in the engine's network: so this runs by `engine.sh exec`, as run.sh does.
# Prints one line a check, with what was seen; exits with 1 if one failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/stack/process.sh
# shellcheck source=tests/support/expect.sh
. tests/support/expect.sh

box=lockstep-systemd
stack=${LOCKSTEP_TEST_STACK:-systemd-$$}
topic=dbserver1.public.users
unit=config/lockstepd.service
scratch=build/docker/systemd

# --- reporting --------------------------------------------------------------------------------------------------------

note() { printf 'note  %s\n' "$*"; }

# is WHAT WANTED SEEN: the pattern WANTED fits all of SEEN.
is() {
  # shellcheck disable=SC2053  # it is a pattern
  if [[ $3 == $2 ]]; then ok "$1: ${3:-nothing}"; else fail "$1: ${3:-nothing} instead of $2"; fi
}

# becomes SECONDS WHAT WANTED COMMAND...: until the pattern WANTED fits what COMMAND prints.
becomes() {
  local seconds=$1 what=$2 wanted=$3 begun=$SECONDS seen
  shift 3
  while true; do
    seen=$("$@" 2>&1) || true
    # shellcheck disable=SC2053  # it is a pattern
    if [[ $seen == $wanted ]]; then
      ok "$what: $seen (after $((SECONDS - begun)) s)"
      return
    fi
    if ((SECONDS - begun >= seconds)); then
      fail "$what: after $seconds s ${seen:-nothing} instead of $wanted"
      return
    fi
    sleep 0.2
  done
}

section() { printf -- '--- %s\n' "$*"; }

# --- the machine with systemd -----------------------------------------------------------------------------------------

# The daemon was built here: the container is the same Debian, with the libraries that the daemon links.
make_image() {
  local suite packages=()
  # shellcheck source=/dev/null
  suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  [[ $suite == bookworm || $suite == trixie ]] ||
    die "this needs a daemon built on Debian 12 or 13, and this is ${suite:-neither}"
  # By both names that a file of a merged /usr may have in dpkg's lists.
  mapfile -t packages < <(ldd build/bin/lockstepd | awk '$3 ~ /^\// { print $3 }' | xargs readlink -f |
    sed 's|^\(/usr\)\?\(/.*\)|\2\n/usr\2|' | xargs dpkg-query -S 2>/dev/null | cut -d : -f 1 | sort -u)
  tests/docker/engine.sh base "$suite"
  # procps: the unit's ExecReload is /bin/kill. What every installation of Debian has, but not its smallest root.
  # redis-server and ca-certificates: what threshold pipelines and webhooks want beside the daemon.
  DOCKER_BUILDKIT=0 docker build --network host --tag "$box" - >"$scratch/image.log" 2>&1 <<END ||
FROM debian:$suite-slim
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      systemd-sysv procps redis-server ca-certificates ${packages[*]} && rm -rf /var/lib/apt/lists/* && mkdir -p /usr/lib/modules
END
    { tail -n 15 "$scratch/image.log" >&2 && die "the image with systemd could not be made"; }
}

# Not --privileged, with which systemd does not come up here. What it needs is to mount, and its own control groups; the
# other capabilities are for the checks, which look into the daemon's namespaces and compare with a machine's root. On a
# machine systemd makes its mounts shared, in a container it leaves that to whoever started it, and credentials need it.
start_box() {
  docker run --detach --name "$box" --network host --cgroupns host --cap-add SYS_ADMIN \
    --cap-add SYS_PTRACE --cap-add SYS_NICE --cap-add SYSLOG \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --env container=docker \
    --tmpfs /run --tmpfs /run/lock --volume /sys/fs/cgroup:/sys/fs/cgroup --volume "$PWD:/lockstep:ro" \
    --workdir /lockstep --stop-signal SIGRTMIN+3 "$box" sh -c 'mount --make-rshared / && exec /sbin/init' >/dev/null
}

inside() { timeout 60 docker exec "$box" "$@"; }
show() { inside systemctl show --property "$1" --value "${2:-lockstepd}"; }
pid() { show MainPID; }
journal() { inside journalctl --quiet --output cat --unit lockstepd; }

# said COUNT TEXT: whether the journal has a line with TEXT at least that often.
said() { (($(journal | grep -c -F "$2") >= $1)) && printf 'yes\n'; }

# --- the data ---------------------------------------------------------------------------------------------------------

start_stack() {
  local file name
  file=$(tests/stack.sh up "$stack" kafka target)
  # shellcheck source=/dev/null
  . "$file"
  lib=build/test-stack/lib/kafka
  # All that the installed configuration names: one that is missing is a warning.
  for name in users orders super_heroes package_status; do
    kafka_tool tools.TopicCommand --create --topic "${topic%users}$name" --partitions 1
  done
  make_schemas
  # One producer for all: each costs a JVM.
  mkfifo "$scratch/feed"
  kafka_tool tools.ConsoleProducer --topic "$topic" --reader-property parse.key=true \
    --reader-property key.separator='|' --command-property linger.ms=5 <"$scratch/feed" &
  exec {feed}>"$scratch/feed"
}

kafka_tool() { # CLASS OPTION...
  local class=org.apache.kafka.$1
  shift
  java -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -cp "$lib/*" "$class" \
    --bootstrap-server "$KAFKA_BROKERS" "$@" >>"$scratch/kafka-tools.log" 2>&1
}

# change ID NAME: a record as Debezium makes it, for table users.
change() {
  local time=2026-01-01T00:00:00Z now=${EPOCHREALTIME//[.,]/}
  local row='{"id":'$1',"name":"'$2'","email":"e","created_at":"'$time'","updated_at":"'$time'"}'
  local source='{"ts_ms":'${now%???}',"schema":"public","table":"users","lsn":'$now'}'
  local payload='{"before":null,"after":'$row',"source":'$source',"op":"c","ts_ms":'${now%???}'}'
  printf '{"schema":%s,"payload":{"id":%s}}|{"schema":%s,"payload":%s}\n' \
    "$key_schema" "$1" "$value_schema" "$payload" >&"$feed"
}

field() { printf '{"type":"%s","optional":%s,"field":"%s"}' "$@"; }                      # TYPE OPTIONAL NAME
struct() { printf '{"type":"struct","optional":%s,"name":"%s","fields":[%s]%s}' "$@"; } # OPTIONAL NAME FIELDS MORE

make_schemas() {
  local time='"optional":false,"name":"io.debezium.time.ZonedTimestamp"' id row source
  id=$(field int64 false id)
  row=$id,$(field string false name),$(field string false email)
  row+=',{"type":"string",'$time',"field":"created_at"},{"type":"string",'$time',"field":"updated_at"}'
  source=$(field int64 false ts_ms),$(field string false schema),$(field string false table),$(field int64 true lsn)
  key_schema=$(struct false "$topic.Key" "$id" '')
  value_schema=$(struct true "$topic.Value" "$row" ',"field":"before"')
  value_schema+=,$(struct true "$topic.Value" "$row" ',"field":"after"')
  value_schema+=,$(struct false io.debezium.connector.postgresql.Source "$source" ',"field":"source"')
  value_schema+=,$(field string false op),$(field int64 true ts_ms)
  value_schema=$(struct false "$topic.Envelope" "$value_schema" ',"version":2')
}

target() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$TARGET_URL" -c "$1"; }
name_of() { target "SELECT name FROM users WHERE id = $1"; }

# --- checks -----------------------------------------------------------------------------------------------------------

boots() {
  section 'a machine with systemd'
  start_box
  becomes 60 "systemd, $(inside systemctl --version | head -n 1 || true)" running inside systemctl is-system-running
}

# The lines in the unit's head, as an administrator would copy them.
install_lines() { sed -n '/^$/q; s/^#   //p' "$unit"; }

installs() {
  local before
  section 'installed by the unit'\''s own lines, twice'
  inside mkdir /etc/lockstep
  printf '%s\n' "KAFKA_BROKERS=$KAFKA_BROKERS" TARGET_HOST=127.0.0.1 "TARGET_PORT=$TARGET_PORT" |
    docker exec --interactive "$box" sh -c 'umask 077 && cat >/etc/lockstep/environment'
  is 'lines to run' 4 "$(install_lines | grep -c .)"
  is 'with Type=notify, restart waits until it has said READY; exit status' 0 "$(run_install_lines)"
  is 'right after' 'active running notify' "$(show ActiveState) $(show SubState) $(show Type)"
  is 'watched; every' 1min "$(show WatchdogUSec)"
  is 'enabled' enabled "$(inside systemctl is-enabled lockstepd)"
  is 'configuration' '640 root root' "$(inside stat -c '%a %U %G' /etc/lockstep/lockstep.yaml)"

  [[ $(show ActiveState) == active ]] || die "it does not start: the other checks would say nothing"

  inside sed -i '1i # edited here' /etc/lockstep/lockstep.yaml
  before=$(inside sha256sum /etc/lockstep/lockstep.yaml)
  is 'again, over the running one; exit status' 0 "$(run_install_lines)"
  is 'an edited configuration survives' "$before" "$(inside sha256sum /etc/lockstep/lockstep.yaml)"
  is 'right after' 'active running' "$(show ActiveState) $(show SubState)"
}

run_install_lines() {
  local status=0
  install_lines | timeout 60 docker exec --interactive "$box" sh -eux >"$scratch/install.log" 2>&1 || status=$?
  if ((status != 0)); then tail -n 5 "$scratch/install.log" >&2; fi
  printf '%s\n' "$status"
}

replicates() {
  section 'at work'
  change 1 first
  becomes 30 'a record is a row' first name_of 1
  becomes 10 'systemctl status tells' '*Status: "*pipeline*' inside sh -c 'systemctl status lockstepd | grep Status:'
  becomes 10 'the log is in the journal' yes said 1 "reading pipeline=replica ${topic}[0]"
  is 'threads of Kafka'\''s client lower their priority: nice' '10*' "$(nice_of_broker_threads)"
  is 'complaints about it' 0 "$(journal | grep -c "can't be given less priority" || true)"
}

nice_of_broker_threads() {
  # shellcheck disable=SC2016  # the container's shell expands it
  inside sh -c 'for task in /proc/$0/task/*; do
      case $(cat $task/comm) in rdk:broker*) sed "s/.*) //" $task/stat | cut -d " " -f 17 ;; esac
    done' "$(pid)" | sort -n | uniq | tr '\n' ' '
}

reloads() {
  local before
  section 'systemctl reload'
  before=$(pid)
  target "ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 10)"
  change 2 'too long for it'
  becomes 30 'a record that the target refuses stops its table' yes said 1 'table stopped'
  target "ALTER TABLE users DROP CONSTRAINT short"
  is 'mended, not reloaded' '' "$(name_of 2)"
  is 'reload; exit status' 0 "$(inside systemctl reload lockstepd >&2 && echo 0 || echo $?)"
  becomes 30 'the table goes on' 'too long for it' name_of 2
  is 'the same process' "$before" "$(pid)"
}

# --- what comes with other sinks --------------------------------------------------------------------------------------

# A customer's API, by TLS: what it is told goes to the file `calls`.
start_api() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$scratch/api.key" -out "$scratch/api.crt" 2>"$scratch/openssl.log"
  python3 - "$scratch" 8443 >"$scratch/calls" 2>"$scratch/api.log" <<'END' &
import http.server, ssl, sys

class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/api.crt", sys.argv[1] + "/api.key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Api)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
END
  api=$!
  docker exec --interactive "$box" sh -euc 'cat >/usr/local/share/ca-certificates/api.crt && update-ca-certificates' \
    <"$scratch/api.crt" >"$scratch/certificates.log" 2>&1
}

# More pipelines, behind that of the installed configuration. Not in /tmp, which a reboot empties.
add_sinks() {
  inside cp -a /etc/lockstep/lockstep.yaml /root/replica.yaml
  docker exec --interactive "$box" sh -euc 'sed "/^http:/,\$d" /root/replica.yaml >/root/lockstep.yaml
    cat >>/root/lockstep.yaml && cat /root/lockstep.yaml >/etc/lockstep/lockstep.yaml' <<END
  - name: gathered
    topics: [$topic]
    sink: {type: threshold, connection: target, schema: gathered, redis: "redis://localhost:6379", max_event: 2}
  - name: calls
    topics: [$topic]
    sink: {type: webhook, routes: [{url: "https://localhost:8443/"}]}
  - name: tail
    topics: [$topic]
    sink: {type: console}
END
}

ask() { curl --noproxy '*' -sS "http://127.0.0.1:8000$1" "${@:2}"; } # PATH CURL-OPTION...
redis_cli() { inside redis-cli --raw "$@"; }
gathered_row() { target "SELECT name FROM gathered.users WHERE id = $1"; }
called_with() { grep -c -F "\"name\":\"$1\"" "$scratch/calls" || true; } # NAME

serves_other_sinks() {
  section 'a threshold pipeline, a webhook by TLS and a console'
  target 'CREATE SCHEMA gathered AUTHORIZATION lockstep' # which the daemon's role may not make
  becomes 30 'Redis of the same machine' active inside systemctl is-active redis-server
  start_api
  add_sinks
  is 'restart; exit status' 0 "$(inside systemctl restart lockstepd >&2 && echo 0 || echo $?)"
  becomes 10 'systemctl status tells' '*4 pipelines running*' show StatusText
  becomes 10 'Redis has the count of what came before' 1 redis_cli get lockstep:gathered:count
  change 10 gathered
  becomes 10 'one more is counted' 2 redis_cli get lockstep:gathered:count
  becomes 10 'and was a call by TLS' 1 called_with gathered
  becomes 10 'and a line of the console in the journal' yes said 1 'create public.users id=10 name="gathered"'
  is 'warnings and errors in the journal' '' "$(complaints)"
  is 'one more is started while it runs, and kept' '*"kept":true*' "$(ask /consumer/start -d \
    '{"consumer_id": "kept", "kafka_topic": "'$topic'", "job_type": "console"}')"
  is 'loaded before there are more than 2' 0 "$(target "SELECT count(*) FROM pg_tables WHERE schemaname = 'gathered'")"

  section 'a reboot'
  docker restart --time 30 "$box" >/dev/null
  becomes 60 'up again' running inside systemctl is-system-running
  becomes 10 'lockstepd' active inside systemctl is-active lockstepd
  is 'Redis was there before it' yes "$(redis_was_first)"
  is 'what it had counted, it knows' 2 "$(redis_cli get lockstep:gathered:count)"
  change 11 third
  becomes 10 'all are loaded' third gathered_row 11
  is 'as is the first' first "$(gathered_row 1)"
  becomes 10 'the one that was started while it ran is back' '*"state":"running"*"kept":true*' ask /consumer/info/kept
  is 'warnings and errors in the journal' '' "$(complaints)"

  is 'it ends for good' '*"state":"ended"*' "$(ask '/consumer/stop?consumer_id=kept' -X POST)"
  inside sh -c 'cat /root/replica.yaml >/etc/lockstep/lockstep.yaml'
  inside systemctl restart lockstepd
}

complaints() { journal | grep -E '^[^ ]+ (warn|error) ' || true; }
redis_was_first() {
  (($(show ActiveEnterTimestampMonotonic redis-server) <= $(show ExecMainStartTimestampMonotonic))) && printf 'yes\n'
}

# stream COUNT FROM: rows with these ids, quick enough to be in the middle of it for a while.
stream() {
  local id
  for ((id = $2; id < $2 + $1; ++id)); do change "$id" "row $id"; done
}
whole_stream() { # FROM
  target "SELECT count(*) || ' ' || count(*) FILTER (WHERE name = 'row ' || id) FROM users WHERE id >= $1"
}

survives_kill() {
  local before
  section 'SIGKILL'
  before=$(pid)
  stream 3000 1000 &
  becomes 30 'some of 3000 rows are there' '[1-9]*' target "SELECT nullif(count(*), 0) FROM users WHERE id >= 1000"
  inside kill -s KILL "$before"
  note "killed at $(target 'SELECT count(*) FROM users WHERE id >= 1000') rows"
  wait $!
  becomes 30 'it was started again, times' 1 show NRestarts
  becomes 60 'nothing is lost: rows, right ones' '3000 3000' whole_stream 1000
  is 'another process' "not $before" "$([[ $(pid) == "$before" ]] || echo "not $before")"
}

stops() {
  local begun took
  section 'stop and start'
  begun=${EPOCHREALTIME//[.,]/}
  inside systemctl stop lockstepd
  took=$(((${EPOCHREALTIME//[.,]/} - begun) / 1000))
  if ((took < 10000)); then ok "stop within 10 s: $took ms"; else fail "stop within 10 s: $took ms"; fi
  is 'result, exit status' 'inactive success 0' "$(show ActiveState) $(show Result) $(show ExecMainStatus)"
  change 3 'while it was stopped'
  sleep 1
  is 'nothing is applied meanwhile' '' "$(name_of 3)"
  inside systemctl start lockstepd
  becomes 30 'after a start' 'while it was stopped' name_of 3
}

refuses_configuration() {
  section 'a wrong configuration'
  inside cp -a /etc/lockstep/lockstep.yaml /tmp/right.yaml
  inside sed -i '1i nonsense: 1' /etc/lockstep/lockstep.yaml
  is 'restart; exit status' 1 "$(inside systemctl restart lockstepd 2>/dev/null && echo 0 || echo $?)"
  is 'state, result, exit status' 'failed exit-code 2' "$(show ActiveState) $(show Result) $(show ExecMainStatus)"
  sleep 6 # three times RestartSec
  is 'no restart in 6 s: state, restarts' 'failed 0' "$(show ActiveState) $(show NRestarts)"
  becomes 5 'the journal says why' yes said 1 nonsense
  inside cp -a /tmp/right.yaml /etc/lockstep/lockstep.yaml
  is 'mended: start; exit status' 0 "$(inside systemctl start lockstepd && echo 0 || echo $?)"
}

drop_in() { # UNIT, lines from the standard input
  local folder=/etc/systemd/system/$1.service.d
  docker exec --interactive "$box" sh -euc "mkdir -p $folder && cat >$folder/test.conf"
  inside systemctl daemon-reload
}

watchdog_bites() {
  local before
  section 'the watchdog'
  drop_in lockstepd <<<$'[Service]\nWatchdogSec=6'
  inside systemctl restart lockstepd
  before=$(pid)
  change 4 'before the stop'
  becomes 30 'at work with WatchdogSec=6' 'before the stop' name_of 4
  sleep 9
  is 'and still the same process after 9 s' "$before 0" "$(pid) $(show NRestarts)"
  inside kill -s STOP "$before"
  change 5 'while it hung'
  becomes 40 'hung: started again, times' 1 show NRestarts
  becomes 5 'because of the watchdog' yes watchdog_was_why
  becomes 60 'it goes on' 'while it hung' name_of 5
}

watchdog_was_why() { inside journalctl -q -o cat -u lockstepd | grep -q 'Watchdog timeout' && printf 'yes\n'; }

# --- the sandbox ------------------------------------------------------------------------------------------------------

status_field() { inside sed -n "s/^$1:\t*//p" "/proc/$(pid)/status" | tr -s '\t' ' '; }
own_namespace() { # KIND
  local mine theirs
  mine=$(inside readlink "/proc/$(pid)/ns/$1") || return
  theirs=$(inside readlink "/proc/1/ns/$1")
  if [[ $mine == "$theirs" ]]; then printf 'the same as outside\n'; else printf 'its own\n'; fi
}
differs() { # PATH STAT-FORMAT: of the daemon's root, from the machine's
  local mine theirs
  mine=$(inside stat -L -c "$2" "/proc/$(pid)/root$1") || return
  theirs=$(inside stat -L -c "$2" "$1")
  if [[ $mine == "$theirs" ]]; then printf 'the same as outside\n'; else printf 'its own\n'; fi
}
memory_limit() {
  local group
  group=$(inside sed -n 's/^[0-9]*:memory:\(.*\)/\1/p' "/proc/$(pid)/cgroup")
  if [[ -n $group ]]; then
    inside cat "/sys/fs/cgroup/memory$group/memory.limit_in_bytes"
  else
    inside cat "/sys/fs/cgroup$(inside sed -n 's/^0:://p' "/proc/$(pid)/cgroup")/memory.max"
  fi
}

declare -A seen_in_force=()
in_force() { # DIRECTIVE IS-ARGUMENTS...
  seen_in_force[$1]=1
  is "$1, $2" "${@:3}"
}

sandbox() {
  section 'the sandbox, as the kernel has it for the daemon'
  in_force DynamicUser 'user id' '6[1-5][0-9][0-9][0-9] *' "$(status_field Uid)"
  in_force NoNewPrivileges NoNewPrivs 1 "$(status_field NoNewPrivs)"
  in_force CapabilityBoundingSet 'CapBnd CapPrm CapEff' '0000000000000000 0000000000000000 0000000000000000' \
    "$(status_field CapBnd) $(status_field CapPrm) $(status_field CapEff)"
  in_force AmbientCapabilities CapAmb 0000000000000000 "$(status_field CapAmb)"
  in_force SystemCallFilter 'Seccomp (2 is a filter)' 2 "$(status_field Seccomp)"
  in_force UMask Umask 0077 "$(status_field Umask)"
  in_force PrivateTmp '/tmp is' 'its own' "$(differs /tmp %i)"
  in_force PrivateDevices '/dev is' 'its own' "$(differs /dev %d)"
  in_force MemoryMax 'memory limit of its control group' 1073741824 "$(memory_limit)"
  in_force ProtectHostname 'UTS namespace is' 'its own' "$(own_namespace uts)"
  in_force LimitNOFILE 'open files, soft and hard' "$(open_files_wanted)" "$(open_files "$(pid)")"
  in_force StateDirectory 'its state folder' '/var/lib/*lockstep' \
    "$(inside cat "/proc/$(pid)/environ" | tr '\0' '\n' | sed -n 's/^STATE_DIRECTORY=//p')"
  in_force StateDirectoryMode 'is for it alone' 700 "$(inside stat -L -c %a /var/lib/lockstep)"
}

open_files() { inside sed -n 's/^Max open files *\([0-9]*\) *\([0-9]*\) .*/\1 \2/p' "/proc/$1/limits"; } # PID
# No more than the container's own limit, which only CAP_SYS_RESOURCE could raise.
open_files_wanted() {
  local limit
  limit=$(open_files 1 | cut -d ' ' -f 2)
  if ((limit > 65536)); then limit=65536; fi
  printf '%s %s\n' "$limit" "$limit"
}

shared_memory_left() { inside cat /proc/sysvipc/shm | grep -c '^ *4293 ' || true; } # 0x10c5, the probe's key

# A copy of the unit, that runs the probe instead of the daemon.
probe_sandbox() {
  local directive what outside within
  section 'the sandbox, tried out: outside of it as root, and inside'
  inside cp /etc/systemd/system/lockstepd.service /etc/systemd/system/lockstep-probe.service
  drop_in lockstep-probe <<END
[Service]
Type=oneshot
ExecStart=
ExecStart=/lockstep/build/bin/sandbox_probe
ExecReload=
Restart=no
WatchdogSec=0
END
  inside /lockstep/build/bin/sandbox_probe >"$scratch/outside"
  is 'shared memory left by a process outside' 1 "$(shared_memory_left)"
  inside ipcrm -M 0x10c5
  inside systemctl start lockstep-probe
  inside journalctl -q -o cat -u lockstep-probe _COMM=sandbox_probe >"$scratch/within"
  is 'attempts' "$(wc -l <"$scratch/outside")" "$(wc -l <"$scratch/within")"
  while IFS=$'\t' read -r directive what outside; do
    within=$(sed -n "s|^$directive\t$what\t||p" "$scratch/within")
    case $directive in
      needed) is "allowed in it, $what" allowed "$within" ;;
      RemoveIPC)
        # The attempt itself is allowed: what is left of it goes with the unit.
        in_force RemoveIPC "$what: $within; left after the unit's end" 0 "$(shared_memory_left)"
        ;;
      *)
        if [[ $outside == allowed ]]; then
          in_force "$directive" "$what" 'refused*' "$within"
        elif [[ $within == refused* ]]; then
          note "$directive, $what: $within, but refused outside too"
        else
          fail "$directive, $what: $within"
        fi
        ;;
    esac
  done <"$scratch/outside"
  in_force SystemCallErrorNumber 'a call that is filtered out, ptrace' 'refused (Operation not permitted)' \
    "$(awk -F '\t' '$2 ~ /^ptrace/ { print $3 }' "$scratch/within")"
}

# Every directive of the sandbox in the unit: seen at work above, or at least what systemd has read.
all_directives() {
  local directive value
  section 'directives that this container gives no evidence for'
  while IFS='=' read -r directive value; do
    [[ -v seen_in_force[$directive] ]] && continue
    is "only read by systemd: $directive" "$value" "$(show "$directive")"
  done < <(sed -n '/^StateDirectory/,/^MemoryMax/p' "$unit" | grep '^[A-Z]')
  note "systemd-analyze security: $(inside systemd-analyze security lockstepd --no-pager 2>/dev/null | tail -n 1)"
}

# --- all --------------------------------------------------------------------------------------------------------------

clean_up() {
  local status=$? output
  if ((status == 1)); then # and not stopped by a signal
    printf -- '--- the end of the journal:\n'
    inside journalctl -q -n 40 || true
  fi
  exec {feed}>&- || true
  kill "$api" 2>/dev/null || true
  docker rm --force --volumes "$box" >/dev/null 2>&1 || true
  output=$(tests/stack.sh down "$stack" 2>&1) || printf 'error: the stack is not gone:\n%s\n' "$output" >&2
}

feed=9 api=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'die "the producer has ended; see $scratch/kafka-tools.log" >&2' PIPE

[[ -x build/bin/lockstepd && -x build/bin/sandbox_probe ]] || die "nothing is built: run tests/run.sh docker"
docker version >/dev/null 2>&1 || die "no Docker engine answers: run this by tests/docker/run.sh"
rm -rf "$scratch"
mkdir -p "$scratch"
make_image
start_stack
boots
installs
replicates
serves_other_sinks
sandbox
probe_sandbox
all_directives
reloads
survives_kill
stops
refuses_configuration
watchdog_bites
end_of_checks
