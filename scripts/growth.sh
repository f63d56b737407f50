#!/usr/bin/env bash
# How cost grows: with members of a room, rooms, message size and connections. Runs Chat.LoadTests once for each point against a
# Release server on core 0, the clients on core 1, and draws a plot of each with its slope.
#
# usage: scripts/growth.sh DIR [--runs N] [--only NAME,...]
#   DIR      where the reports go, one folder a run; what is there already counts too, so that a series may be run in parts
#   --runs   runs of each point, of which the median is drawn (3)
#   --only   some of: members rooms size connections
# The plots and tables go to DIR/NAME.svg and DIR/NAME.md. All of it takes about a quarter of an hour.
#
# Needs Linux with two cores or more, the .NET SDK and 20,000 file descriptors.
# exit: 0 when every run was clean, 1 when one lost messages or failed, 2 when something needed is missing
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

# Deliveries are 50,000 a second at each size of a room, so that the number of members is all that changes.
members=(10 30 100 300 1000 3000 10000)
member_deliveries_per_s=50000
# A member a room, who hears himself: 2,000 messages a second are as many deliveries, in however many rooms.
rooms=(1 10 100 1000 10000)
sizes=(16 64 256 1024 4096 16384 65536)
connections=(100 300 1000 3000 10000 19000)

stop() {
    echo "$1" >&2
    exit 2
}

clean_up() {
    stop_server
    rm -rf "$work"
}

start_server() {
    local tries
    # A server checks that its limits hold the longest content as JSON, each character escaped.
    (cd "$work" && RATE_LIMITS=off CONTENT_CHARS_MAX=65536 WS_MESSAGE_BYTES_MAX=787456 HTTP_BODY_BYTES_MAX=787456 \
        exec taskset -c 0 dotnet "$server_dll" --port 0 --host localhost --data-dir data --database-url '') >"$work/log" 2>&1 &
    server=$!
    for ((tries = 0; tries < 300; tries++)); do
        url=$(sed -n 's/.*Listening on \(http[^ ]*\).*/\1/p' "$work/log" | head -n 1)
        [[ -z $url ]] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/log" >&2
    stop 'The server did not start.'
}

stop_server() {
    [[ -n $server ]] || return 0
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

load_test() {
    taskset -c 1 dotnet "$tool_dll" "$@"
}

# load NAME SCENARIO OPTIONS...: one run against the warm server.
load() {
    local name=$1
    shift
    echo "$name run $run: $*" >&2
    load_test "$@" --url "$url" --server-pid "$server" --users 1 --report "$(mktemp -d "$out/$name-XXXXXX")" --assert lost=0 >"$work/load.log" 2>&1 || {
        tail -n 40 "$work/load.log" >&2
        status=1
    }
}

measure_members() {
    local count
    for count in "${members[@]}"; do
        load members fanout --members "$count" --publishers 5 --rate "$((member_deliveries_per_s / count))" --warm-up 1 --seconds 5
    done
}

measure_rooms() {
    local count
    for count in "${rooms[@]}"; do
        load rooms rooms --rooms "$count" --members 1 --publishers 1 --skew 0 --rate 2000 --warm-up 1 --seconds 5
    done
}

measure_size() {
    local bytes
    for bytes in "${sizes[@]}"; do
        load size fanout --members 100 --publishers 5 --rate 100 --size "$bytes" --warm-up 1 --seconds 5
    done
}

# On a fresh server each: what a connection costs shows only on memory that no load has grown before.
measure_connections() {
    local count
    for count in "${connections[@]}"; do
        echo "connections run $run: $count" >&2
        load_test idle --connections "$count" --rooms 100 --seconds 3 --users 1 --report "$(mktemp -d "$out/connections-XXXXXX")" --assert unanswered=0 \
            >"$work/load.log" 2>&1 || {
            tail -n 40 "$work/load.log" >&2
            status=1
        }
    done
}

# draw NAME TITLE OPTIONS...
draw() {
    local name=$1 title=$2
    shift 2
    echo
    echo "$title"
    dotnet "$tool_dll" growth "$out/$name"-*/ --title "$title" --svg "$out/$name.svg" "$@" | tee "$out/$name.md"
}

draw_members() {
    draw members 'Members of a room, 50,000 deliveries a second' --x members --y server_us_per_delivery --y 'server_us_per_delivery*members'
}

draw_rooms() {
    draw rooms 'Rooms, a member in each, 2,000 messages a second' --x rooms --y server_us_per_delivery
}

draw_size() {
    draw size 'Bytes of a message, 10,000 deliveries a second' --x size --y server_us_per_delivery
}

draw_connections() {
    draw connections 'Idle connections' --x connections --y memory_per_connection --y 'memory_per_connection*connections'
}

case ${1:-} in
    '' | -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
out=$1
shift
runs=3
names=(members rooms size connections)
only=("${names[@]}")
while (($# > 0)); do
    (($# > 1)) || stop "$1 needs a value."
    case $1 in
        --runs) runs=$2 ;;
        --only) IFS=, read -ra only <<<"$2" ;;
        *) stop "Unknown option $1; --help lists them." ;;
    esac
    shift 2
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || stop '--runs needs a number from 1 on.'
for name in "${only[@]}"; do
    [[ " ${names[*]} " == *" $name "* ]] || stop "There is no $name: ${names[*]}"
done
for tool in dotnet taskset; do
    command -v "$tool" >/dev/null || stop "$tool is missing."
done
(($(nproc) >= 2)) || stop 'Two cores are needed: one for the server, one for the clients.'
ulimit -n 20000 2>/dev/null || (($(ulimit -n) >= 20000)) || stop "20,000 file descriptors are needed, $(ulimit -n) are allowed (ulimit -n)."
mkdir -p "$out"
out=$(realpath "$out")

server=
status=0
work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM
for project in Chat.Server Chat.LoadTests; do
    dotnet build "$root/$project" -c Release >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; stop "The build of $project failed."; }
done
artifacts=${ArtifactsPath:-$root/artifacts}/bin
server_dll=$artifacts/Chat.Server/release/Chat.Server.dll
tool_dll=$artifacts/Chat.LoadTests/release/Chat.LoadTests.dll

if [[ ${only[*]} != connections ]]; then
    start_server
    run=0
    echo 'warming up' >&2
    # .NET compiles in tiers: what runs often is compiled again, better, within the first half minute of load.
    load_test saturate --members 300 --warm-up 0 --seconds 15 --url "$url" --users 1 >/dev/null
    load_test rooms --rooms 100 --members 10 --rate 5000 --warm-up 0 --seconds 10 --url "$url" --users 1 >/dev/null
fi
for ((run = 1; run <= runs; run++)); do
    for name in "${only[@]}"; do
        "measure_$name"
    done
done
stop_server
for name in "${only[@]}"; do
    "draw_$name"
done
exit "$status"
