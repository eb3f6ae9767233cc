#!/usr/bin/env bash
# The Spring Boot application beside two antiphon nodes, on a real Redis and a real PostgreSQL.
#
#   test.sh               builds the application and runs E2E.java against it
#   test.sh --with-unit   runs its unit tests too, and counts them
#
# TESTKIT_ANTIPHON     the built server (else debug/antiphon below CARGO_TARGET_DIR, or target/ of this checkout)
# TESTKIT_REDIS_URL    a Redis to share with other tests (else an own redis-server)
# TESTKIT_POSTGRES_URL a PostgreSQL to make a database and a role in (else an own postgres)
# TESTKIT_REQUIRE=1    fails where a program is missing, in place of skipping
#
# Whatever it starts is its own child, and ends with it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${TESTKIT_ANTIPHON:-${CARGO_TARGET_DIR:-$here/../../target}/debug/antiphon}
seconds_max=60
work=$(mktemp -d "${TMPDIR:-/tmp}/antiphon-spring-boot.XXXXXX")
pids=()
as_user=()
servers=0
databases=()
roles=()

say() { printf '%s\n' "$*"; }

fail() {
    say "FAILED  spring-boot: $*"
    for log in "$work"/*.log; do
        [ -s "$log" ] && { say "--- the last lines of $(basename "$log")"; tail -n 25 "$log"; }
    done
    say "0 passed, 1 failed"
    exit 1
}

skip() {
    [ "${TESTKIT_REQUIRE:-}" = 1 ] && fail "$*"
    say "SKIPPED: spring-boot: $*"
    say "0 passed, 0 failed, 1 skipped"
    exit 0
}

clean_up() {
    trap - EXIT INT TERM
    end_from "$servers"
    # The databases go while their server is still there, once nobody uses them any more.
    for name in "${databases[@]}"; do psql_quiet "drop database if exists $name with (force)" || true; done
    for name in "${roles[@]}"; do psql_quiet "drop role if exists $name" || true; done
    end_from 0
    rm -rf "$work"
}

# Ends the children that were started from the nth on, the youngest first.
end_from() {
    while [ "${#pids[@]}" -gt "$1" ]; do
        local pid=${pids[-1]}
        unset 'pids[-1]'
        kill -CONT "$pid" 2>/dev/null && kill -TERM "$pid" 2>/dev/null || continue
        for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: a child whose output is in NAME.log, and that the kernel ends if this script is killed. Another
# user is asked for in the same step, since a change of the user would forget that.
start() {
    local name=$1
    shift
    setpriv --pdeathsig "${death_signal:-KILL}" "${as_user[@]}" -- "$@" >"$work/$name.log" 2>&1 </dev/null &
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

free_port() {
    while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}

psql_quiet() { psql_in "$postgres" "$1"; }
psql_in() { psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname "$1" --command "$2" >/dev/null; }

redis_answers() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'PING\r\n' >&3
    local line
    read -r -t 2 line <&3
    exec 3>&-
    [ "${line:0:5}" = +PONG ]
}

# What there has to be.

[ "$(uname)" = Linux ] || skip "it needs Linux (setpriv, /proc)"
for program in java mvn setpriv; do
    command -v "$program" >/dev/null || skip "$program is not installed: apt-get install openjdk-17-jdk-headless maven util-linux"
done
[ -x "$bin" ] || skip "there is no server at $bin: cargo build --bin antiphon, or set TESTKIT_ANTIPHON"
# Debian keeps the server's programs of PostgreSQL out of PATH.
for folder in /usr/lib/postgresql/*/bin; do [ -d "$folder" ] && PATH=$folder:$PATH; done
command -v psql >/dev/null || skip "psql is not installed: apt-get install postgresql-client"

# The application.

unit_passed=0
if [ "${1:-}" = --with-unit ]; then
    rm -rf "$here/target/surefire-reports"
    mvn -q -B -f "$here/pom.xml" package >"$work/maven.log" 2>&1 || fail "the application's build or its unit tests"
    unit_passed=$(awk -F'[:,]' '/^Tests run:/ { n += $2 } END { print n + 0 }' "$here"/target/surefire-reports/*.txt)
    say "ok      $unit_passed unit tests"
else
    mvn -q -B -f "$here/pom.xml" -DskipTests package >"$work/maven.log" 2>&1 || fail "the application's build"
fi
jar=$here/target/company-app.jar

# Redis and PostgreSQL.

redis=${TESTKIT_REDIS_URL:-}
if [ -z "$redis" ]; then
    command -v redis-server >/dev/null || skip "redis-server is not installed: apt-get install redis-server"
    free_port
    mkdir "$work/redis"
    start redis redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work/redis"
    within "redis-server" redis_answers
    redis=redis://127.0.0.1:$port
fi

postgres=${TESTKIT_POSTGRES_URL:-}
if [ -z "$postgres" ]; then
    command -v postgres >/dev/null || skip "postgres is not installed: apt-get install postgresql"
    data=$work/postgres
    mkdir "$data"
    if [ "$(id -u)" = 0 ]; then
        # PostgreSQL refuses to run as root; its package brings a user for it.
        as_user=(--reuid=postgres --regid=postgres --clear-groups)
        chmod 711 "$work"
        chown postgres:postgres "$data"
    fi
    (cd / && setpriv "${as_user[@]}" -- initdb -D "$data/db" -A trust -U antiphon --encoding=UTF8 --no-sync) >"$work/initdb.log" 2>&1 || fail "initdb"
    free_port
    death_signal=QUIT start postgres postgres -D "$data/db" -p "$port" -k "$data" -c listen_addresses=127.0.0.1 -c fsync=off
    as_user=()
    postgres=postgres://antiphon@127.0.0.1:$port/postgres
    within "postgres" psql_quiet 'select 1'
fi

servers=${#pids[@]}

# One database for both, since a transaction of the application's can publish only where antiphon's tables are.
run=spring_boot_$$_$RANDOM
psql_quiet "create database $run" || fail "create database at TESTKIT_POSTGRES_URL"
databases+=("$run")
database=${postgres%/*}/$run

[[ $postgres =~ ^postgres(ql)?://(([^:@/]*)(:([^@/]*))?@)?([^/?]+) ]] || fail "TESTKIT_POSTGRES_URL is no postgres:// URL"
jdbc=jdbc:postgresql://${BASH_REMATCH[6]}/$run

# antiphon: tables, a key, users' tokens, two nodes.

"$bin" migrate --database "$database" >"$work/migrate.log" 2>&1 || fail "antiphon migrate"

# The application's own user, with a schema of its own and the right to publish.
database_user=${run}_app
database_password=$RANDOM$RANDOM$RANDOM
for sql in "create role $database_user login password '$database_password' in role antiphon_publisher" \
    "create schema $database_user authorization $database_user"; do
    psql_in "$database" "$sql" || fail "the application's user"
done
roles+=("$database_user")

tenant=company-$run
other_tenant=other-$run
key=$("$bin" key issue --database "$database" 2>"$work/key.log") || fail "antiphon key issue"
token() { "$bin" token issue --database "$database" --tenant "$1" --user "$2" --ttl 1h 2>>"$work/token.log"; }
ada_token=$(token "$tenant" ada) || fail "antiphon token issue"
eve_token=$(token "$other_tenant" eve) || fail "antiphon token issue"

# The first address with a port that a node prints is where it listens.
address() { grep -o -m1 -E '(127\.0\.0\.1|\[::1\]):[0-9]+' "$work/$1.log" | head -n1 | grep . >"$work/$1.address"; }
ready() { [ "$(status "http://$(cat "$work/$1.address")/health/ready")" = 200 ]; }
status() {
    local host=${1#http://} path line
    path=/${host#*/} host=${host%%/*}
    exec 4<>"/dev/tcp/${host%:*}/${host##*:}" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$host" >&4
    read -r -t 5 line <&4
    exec 4>&-
    line=${line#* }
    echo "${line%% *}"
}
node_pids=()
for node in node-a node-b; do
    start "$node" "$bin" serve --listen 127.0.0.1:0 --database "$database" --redis "$redis" --redis-plain-topics
    node_pids+=("$started")
    within "antiphon serve ($node): its address" address "$node"
    within "antiphon serve ($node): ready" ready "$node"
done
node_a=http://$(cat "$work/node-a.address")
node_b=http://$(cat "$work/node-b.address")

# The application beside them. It gives up on an answer sooner than by default, so that the tests need not wait.
start app env SERVER_PORT=0 \
    SPRING_DATASOURCE_URL="$jdbc" SPRING_DATASOURCE_USERNAME="$database_user" SPRING_DATASOURCE_PASSWORD="$database_password" \
    SPRING_DATA_REDIS_URL="$redis" ANTIPHON_URL="$node_a" ANTIPHON_API_KEY="$key" \
    SPRING_HTTP_CLIENTS_READ_TIMEOUT=1s COMPANY_ANNOUNCEMENT_RETRY=1s \
    java -XX:TieredStopAtLevel=1 -Xmx256m -jar "$jar"
app_port() { sed -n 's/^company-app listens on port //p' "$work/app.log" | grep . >"$work/app.port"; }
within "the application" app_port

set +e
E2E_NODE_A=$node_a E2E_NODE_B=$node_b E2E_NODE_A_PID=${node_pids[0]} E2E_APP=http://127.0.0.1:$(cat "$work/app.port") \
    E2E_API_KEY=$key E2E_TENANT=$tenant E2E_OTHER_TENANT=$other_tenant E2E_ADA_TOKEN=$ada_token E2E_EVE_TOKEN=$eve_token \
    E2E_LOGS=$work setpriv --pdeathsig KILL -- java "$here/E2E.java" >"$work/e2e.out" 2>&1 &
e2e=$!
pids+=("$e2e")
wait "$e2e"
result=$?
set -e
sed '$d' "$work/e2e.out"
summary=$(tail -n1 "$work/e2e.out")
if [[ ! $summary =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    say "$summary"
    fail "E2E.java ended early"
fi
if [ "$result" != 0 ]; then
    for log in "$work"/*.log; do
        [ -s "$log" ] && { say "--- the last lines of $(basename "$log")"; tail -n 25 "$log"; }
    done
fi
say "$((BASH_REMATCH[1] + unit_passed)) passed, ${BASH_REMATCH[2]} failed"
exit "$result"
