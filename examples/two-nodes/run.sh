#!/usr/bin/env bash
# Two antiphon nodes behind haproxy, with Redis and PostgreSQL, and a conversation that outlives each of the nodes.
#
# TESTKIT_ANTIPHON     the built server, with two-nodes beside it (else both are built first)
# TESTKIT_REDIS_URL    a Redis to share with other tests (else an own redis-server)
# TESTKIT_POSTGRES_URL a PostgreSQL to make a database in (else an own postgres)
# TESTKIT_REQUIRE=1    fails where a program is missing, in place of skipping
#
# Whatever it starts is its own child on a free port, and ends with it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
seconds_max=60
# The programs here are told everything by flags; what is set for this script is not for them.
[ -z "${!ANTIPHON_*}" ] || export -n ${!ANTIPHON_*}
work=$(mktemp -d "${TMPDIR:-/tmp}/antiphon-two-nodes.XXXXXX")
pids=()
servers=0
database_name=
declare -A pid_of=() listen_of=() admin_of=()

say() { printf '%s\n' "$*"; }

logs() {
    for log in "$work"/*.log; do
        [ -s "$log" ] && { say "--- the last lines of $(basename "$log")"; tail -n 25 "$log"; }
    done
    say
}

fail() {
    say "FAILED  $*"
    logs
    say "0 passed, 1 failed"
    exit 1
}

skip() {
    [ "${TESTKIT_REQUIRE:-}" = 1 ] && fail "$*"
    say "SKIPPED: two-nodes: $*"
    exit 0
}

clean_up() {
    trap - EXIT INT TERM
    end_from "$servers"
    # The database goes while its server is still there, once nobody uses it any more.
    [ -z "$database_name" ] || psql_quiet "drop database if exists $database_name with (force)" || true
    end_from 0
    rm -rf "$work"
}

# Ends the children that were started from the nth on, the youngest first.
end_from() {
    while [ "${#pids[@]}" -gt "$1" ]; do
        local pid=${pids[-1]}
        unset 'pids[-1]'
        kill -TERM "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: a child whose output is in NAME.log, and that the kernel ends if this script is killed.
start() {
    local name=$1
    shift
    setpriv --pdeathsig KILL -- "$@" >>"$work/$name.log" 2>&1 </dev/null 5>&- 6<&- &
    started=$!
    pids+=("$started")
}

# within WHAT COMMAND...: polls until it succeeds; a child that has ended meanwhile need not be waited for.
within() {
    local what=$1 until=$((SECONDS + seconds_max))
    shift
    until "$@" 2>/dev/null; do
        kill -0 "$started" 2>/dev/null || fail "$what: it ended by itself"
        [ "$SECONDS" -lt "$until" ] || fail "$what: not within $seconds_max s"
        sleep 0.05
    done
}

# Below the ports that the kernel gives to connections.
free_port() {
    while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}

# get ADDRESS PATH: the whole answer to a GET, with its head.
get() {
    exec 4<>"/dev/tcp/${1%:*}/${1##*:}" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$1" >&4
    timeout 5 cat <&4 || true
    exec 4>&-
}

psql_quiet() { psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname "$postgres" --command "$1" >/dev/null; }
redis_answers() { [ "$(redis-cli -u "$redis" ping)" = PONG ]; }

# What there has to be.

[ "$(uname)" = Linux ] || skip "it needs Linux (setpriv)"
# Debian keeps the server's programs of PostgreSQL, and haproxy, out of PATH.
for folder in /usr/lib/postgresql/*/bin /usr/sbin; do [ -d "$folder" ] && PATH=$folder:$PATH; done
for need in setpriv:util-linux haproxy:haproxy redis-cli:redis-tools psql:postgresql-client; do
    command -v "${need%:*}" >/dev/null || skip "${need%:*} is not installed: apt-get install ${need#*:}"
done

if [ -z "${TESTKIT_ANTIPHON:-}" ]; then
    (cd "$here" && cargo build --quiet --package antiphon-server --package two-nodes) || fail "cargo build"
    TESTKIT_ANTIPHON=${CARGO_TARGET_DIR:-$here/../../target}/debug/antiphon
fi
bin=$TESTKIT_ANTIPHON
conversation=$(dirname "$bin")/two-nodes
for file in "$bin" "$conversation"; do
    [ -x "$file" ] || skip "there is no $file: cargo build --package antiphon-server --package two-nodes"
done

# Redis and PostgreSQL.

redis=${TESTKIT_REDIS_URL:-}
if [ -z "$redis" ]; then
    command -v redis-server >/dev/null || skip "redis-server is not installed: apt-get install redis-server"
    free_port
    mkdir "$work/redis"
    start redis redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work/redis"
    redis=redis://127.0.0.1:$port
    within "redis-server" redis_answers
fi

postgres=${TESTKIT_POSTGRES_URL:-}
if [ -z "$postgres" ]; then
    command -v postgres >/dev/null || skip "postgres is not installed: apt-get install postgresql"
    as=()
    data=$work/postgres
    mkdir "$data"
    if [ "$(id -u)" = 0 ]; then
        # PostgreSQL refuses to run as root; its package brings a user for it.
        as=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
        chmod 711 "$work"
        chown postgres:postgres "$data"
    fi
    (cd / && "${as[@]}" initdb -D "$data/db" -A trust -U antiphon --encoding=UTF8 --no-sync) >"$work/initdb.log" 2>&1 || fail "initdb"
    free_port
    start postgres "${as[@]}" setpriv --pdeathsig KILL -- \
        postgres -D "$data/db" -p "$port" -k "$data" -c listen_addresses=127.0.0.1 -c fsync=off
    postgres=postgres://antiphon@127.0.0.1:$port/postgres
    within "postgres" psql_quiet 'select 1'
fi
servers=${#pids[@]}

run=two_nodes_$$_$RANDOM
psql_quiet "create database $run" || fail "create database"
database_name=$run
# The name is the URL's path; what follows a question mark stays.
database=$(sed -E "s|^([a-z]+://[^/?]+)(/[^?]*)?|\1/$run|" <<<"$postgres")

"$bin" migrate --database "$database" >"$work/migrate.log" 2>&1 || fail "antiphon migrate"
company=company-$run
token() { "$bin" token issue --database "$database" --tenant "$company" --user "$1" 2>>"$work/token.log"; }
ada_token=$(token ada) || fail "antiphon token issue"
ben_token=$(token ben) || fail "antiphon token issue"
key=$("$bin" key issue --database "$database" --scope directory --scope metrics 2>"$work/key.log") || fail "antiphon key issue"

# The nodes. Each takes free ports at its first start and the same again later.

listens() {
    listen_of[$1]=$(sed -n 's|^listening on http://||p' "$work/$1.log" | tail -n1)
    admin_of[$1]=$(sed -n 's|.*health and metrics on http://||p' "$work/$1.log" | tail -n1)
    [ -n "${listen_of[$1]}" ] && [ -n "${admin_of[$1]}" ]
}
ready() { [[ $(get "${listen_of[$1]}" /health/ready) == 'HTTP/1.1 200 '* ]]; }
node() {
    # For two seconds a node that is stopped says only that it isn't ready, so that the balancer finds it out before
    # anybody is sent away.
    start "$1" "$bin" serve --database "$database" --redis "$redis" --trusted-proxy 127.0.0.1/32 \
        --listen "${listen_of[$1]:-127.0.0.1:0}" --admin-listen "${admin_of[$1]:-127.0.0.1:0}" \
        --drain-delay 2s --drain 2s
    pid_of[$1]=$started
    within "antiphon serve ($1)" listens "$1"
    within "antiphon serve ($1): ready" ready "$1"
}
node node-a
node node-b

# The balancer.

usable_nodes() { get "127.0.0.1:$operator_port" / | tail -n1; }
both_usable() { [ "$(usable_nodes)" = 2 ]; }
free_port
balancer_port=$port
while free_port; [ "$port" = "$balancer_port" ]; do :; done
operator_port=$port
start haproxy env BALANCER_PORT="$balancer_port" OPERATOR_PORT="$operator_port" \
    NODE_A="${listen_of[node-a]}" NODE_B="${listen_of[node-b]}" haproxy -db -f "$here/haproxy.cfg"
within "haproxy" both_usable
say "Redis, PostgreSQL, node-a at ${listen_of[node-a]}, node-b at ${listen_of[node-b]}, haproxy at 127.0.0.1:$balancer_port"

# The conversation. What it prints with an @ in front is for this script to do.

# reaped NODE: waits for one that ends, and gives its status.
reaped() {
    local pid=${pid_of[$1]} status=0 left=()
    wait "$pid" 2>/dev/null || status=$?
    # Its number may become another program's.
    for child in "${pids[@]}"; do [ "$child" = "$pid" ] || left+=("$child"); done
    pids=("${left[@]}")
    return "$status"
}
gone() { ! kill -0 "${pid_of[$1]}"; }
# operate REQUEST [WORD]...: does it, and leaves the answer in $answer.
operate() {
    answer=done
    case $1 in
    start) node "$2" ;;
    kill)
        kill -KILL "${pid_of[$2]}"
        reaped "$2" || true
        ;;
    stop) kill -TERM "${pid_of[$2]}" ;;
    ended)
        started=$talking
        within "the end of $2" gone "$2"
        reaped "$2" || answer="it ended with status $?"
        ;;
    connections) answer=$(get "${admin_of[$2]}" /metrics | tr -d '\r' | sed -n 's/^antiphon_connections //p') ;;
    usable-nodes) answer=$(usable_nodes) ;;
    # The company's own topic has the company's name, so that it stands there twice.
    listening-nodes) answer=$(redis-cli -u "$redis" pubsub numsub "antiphon:topic $company $company" | tail -n1) ;;
    warnings) answer=$(cat "$work"/node-?.log | grep -F ' WARN ' | grep -F -- "$2" | grep -cF -- "$3") || true ;;
    *) answer="what is $1?" ;;
    esac
}

mkfifo "$work/answers" "$work/lines"
exec 5<>"$work/answers"
BALANCER=127.0.0.1:$balancer_port COMPANY=$company API_KEY=$key ADA_TOKEN=$ada_token BEN_TOKEN=$ben_token \
    setpriv --pdeathsig KILL -- "$conversation" <"$work/answers" >"$work/lines" 2>"$work/conversation.log" 5>&- &
talking=$!
pids+=("$talking")
exec 6<"$work/lines"
last=
while IFS= read -r line <&6; do
    if [[ $line == @* ]]; then
        read -r -a request <<<"${line#@}"
        operate "${request[@]}" || answer="not done"
        say "${answer:-no answer}" >&5
    else
        # The counts come last of all.
        [ -z "$last" ] || say "$last"
        last=$line
        [ -n "$line" ] || say
    fi
done
result=0
wait "$talking" || result=$?
if [[ ! $last =~ ^[0-9]+\ passed,\ [0-9]+\ failed$ ]]; then
    say "$last"
    fail "the conversation ended early"
fi
[ "$result" = 0 ] || logs
say "$last"
exit "$result"
