#!/usr/bin/env bash
# Loads a server of this working copy and prints its figures, so that a change can be held against what was before it: run
# it on both, by turns, on a quiet machine. Compare only runs of one hour; noise between single runs is about 25 %.
#
# usage: scripts/compare.sh WSLOAD [--runs N] [--only NAME,...] [--out FILE] [--congestion NAME]
#   WSLOAD   a WebSocket load generator with wsload's command line (not part of this repository)
#   --runs   runs of each scenario, of which the median is printed (3)
#   --only   some of: fixed saturate small-buffers rooms-saturate rooms-fixed connect idle
#   --out    append each run's figures to FILE, one JSON object a line
#   --congestion
#            TCP's congestion control (reno), in a network namespace of its own, for the machine's default changes some figures by a factor
#            of three; 'default' stays in the machine's network
# Settings go by the environment: ENGINE=send scripts/compare.sh WSLOAD
# The server runs with its defaults but for RATE_LIMITS=off: the generator's messages are those of one user, far above what one may send.
#
# Needs Linux with two cores or more (the server gets core 0, the generator core 1), the .NET SDK, python3, 17,000 file
# descriptors, and for the namespace unshare and ip, as root or where users may make namespaces. A run of all scenarios takes about a minute.
# exit: 0 when every run was clean, 1 when one lost or doubled messages or failed, 2 when something needed is missing
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

names=(fixed saturate small-buffers rooms-saturate rooms-fixed connect idle)
declare -A scenarios=(
    [fixed]='--conns 1000 --rooms 1 --publishers 10 --rate 100 --warmup 1 --duration 4'
    [saturate]='--conns 1000 --rooms 1 --publishers 10 --mode saturate --window 8 --warmup 1 --duration 4'
    [small-buffers]='--conns 1000 --rooms 1 --publishers 10 --mode saturate --window 8 --rcvbuf 8192 --warmup 1 --duration 4'
    [rooms-saturate]='--conns 2000 --rooms 200 --publishers 1 --mode saturate --window 4 --warmup 1 --duration 4'
    [rooms-fixed]='--conns 2000 --rooms 200 --publishers 1 --rate 5000 --warmup 1 --duration 4'
    [connect]='--conns 10000 --rooms 200 --mode connect --src-ips 4 --concurrency 256 --settle 0.5'
    [idle]='--conns 15000 --rooms 1500 --mode idle --src-ips 4 --concurrency 256 --settle 1.5 --duration 1'
)
# .NET compiles in tiers and is done after some 40 s of load; this is the most of it, and the same for both sides.
warm_ups=(saturate rooms-saturate rooms-fixed saturate connect rooms-saturate)
run_timeout_s=60
start_timeout_s=30

server=
work=
status=0

stop() {
    echo "$1" >&2
    exit 2
}

# shellcheck disable=SC2317  # the trap calls it
clean_up() {
    stop_server
    [[ -z $work ]] || rm -rf "$work"
}

# Starts a server on a copy of the prepared data, if there is any, and sets port.
start_server() {
    local folder log tries
    folder=$(mktemp -d "$work/server.XXXX")
    log=$folder/log
    [[ ! -d $work/data ]] || cp -r "$work/data" "$folder/data"
    (cd "$folder" && RATE_LIMITS=off exec taskset -c 0 dotnet "$dll" --port 0 --host localhost --data-dir data --database-url '') >"$log" 2>&1 &
    server=$!
    port=
    for ((tries = 0; tries < start_timeout_s * 10; tries++)); do
        port=$(sed -n 's/.*Listening on http:.*:\([0-9]*\).*/\1/p' "$log" | head -n 1)
        [[ -z $port ]] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log" >&2
    stop 'The server did not start.'
}

# Makes the account and the rooms on a server of their own: a password hash and 1,500 calls leave memory behind, in which
# the first thousands of idle connections would be had for nothing. Sets entry, the arguments that let the generator in.
prepare() {
    local arguments
    start_server
    arguments=$(python3 "$root/scripts/compare_setup.py" "$port" 1500) || stop 'The account and the rooms could not be made.'
    mapfile -t entry <<<"$arguments"
    stop_server
    mv "$work"/server.*/data "$work/data"
    rm -r "$work"/server.*
}

stop_server() {
    [[ -n $server ]] || return 0
    kill -TERM "$server" 2>/dev/null || true
    # A server that does not stop in time is a finding, but not one to wait for.
    timeout 20 tail --pid="$server" -s 0.1 -f /dev/null || kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# Begins this script again where the loopback device and TCP's settings are its own; only from here on, because a build may need the network.
enter_namespace() {
    local -a unshare=(unshare --net)
    ((EUID == 0)) || unshare+=(--map-root-user)
    "${unshare[@]}" true || stop 'No network namespace can be made here; --congestion default does without.'
    # shellcheck disable=SC2016  # the inner shell expands them
    exec env COMPARE_INSIDE=1 "${unshare[@]}" bash -c \
        'ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control="$1" || exit 2; exec "${@:2}"' \
        compare "$congestion" "$root/scripts/compare.sh" "${command_line[@]}"
}

# load NAME: one run; its JSON object goes to stdout.
load() {
    local -a scenario
    read -ra scenario <<<"${scenarios[$1]}"
    timeout "$run_timeout_s" taskset -c 1 "$generator" --port "$port" --server-pid "$server" --json --size 128 --label "$1" \
        --template '{"type":"message","content":"%s"}' --ready-frames 1 "${entry[@]}" "${scenario[@]}"
}

measure() {
    echo "run $2 of $runs: $1" >&2
    if ! load "$1" >>"$results"; then
        echo "FAILED: $1" >&2
        status=1
    fi
}

# Medians of the JSON lines in a file, as a table.
print_table() {
    python3 - "$1" <<'PY'
import json, statistics, sys

runs = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    runs.setdefault(run["label"], []).append(run)

COLUMNS = {
    "deliveries/s": lambda r: r["deliveries_per_s"],
    "server us/delivery": lambda r: r["server_us_per_delivery"],
    "p50 ms": lambda r: r["lat_us"]["p50"] / 1000,
    "p99 ms": lambda r: r["lat_us"]["p99"] / 1000,
    "connects/s": lambda r: r["connects_per_s"],
    "server us/connect": lambda r: r["server_us_per_connect"],
    "RSS B/connection": lambda r: r["rss_per_conn"],
    "RSS MiB": lambda r: r["rss_kb"][1] / 1024,
    "others' CPU %": lambda r: r["other_cpu"] * 100,
}
LOAD, CONNECT, IDLE = range(4), (4, 5), (6, 7)
SHOWN = {"connect": CONNECT, "idle": IDLE}

print("| scenario | runs | " + " | ".join(COLUMNS) + " |")
print("|---" * (len(COLUMNS) + 2) + "|")
for name, group in runs.items():
    cells = []
    for index, value in enumerate(COLUMNS.values()):
        median = statistics.median(map(value, group))
        shown = index in SHOWN.get(name, LOAD) or index == len(COLUMNS) - 1
        cells.append("" if not shown else f"{median:,.0f}" if median >= 100 else f"{median:.3g}")
    print(f"| {name} | {len(group)} | " + " | ".join(cells) + " |")
PY
}

case ${1:-} in
    '' | -h | --help)
        sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
        exit 2
        ;;
esac
command_line=("$@")
generator=$1
shift
runs=3
out=
congestion=reno
only=("${names[@]}")
while (($# > 0)); do
    (($# > 1)) || stop "$1 needs a value."
    case $1 in
        --runs) runs=$2 ;;
        --only) IFS=, read -ra only <<<"$2" ;;
        --out) out=$(realpath "$2") ;;
        --congestion) congestion=$2 ;;
        *) stop "Unknown option $1; --help lists them." ;;
    esac
    shift 2
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || stop '--runs needs a number from 1 on.'
for name in "${only[@]}"; do
    [[ -v scenarios[$name] ]] || stop "There is no scenario $name: ${names[*]}"
done
[[ -x $generator && ! -d $generator ]] ||
    stop "No load generator at $generator: it is not part of this repository. Give the path of a wsload binary."
"$generator" --help 2>&1 | grep -q -- --server-pid || stop "$generator does not take wsload's options (--server-pid)."
generator=$(realpath "$generator")
tools=(dotnet python3 taskset timeout)
[[ $congestion == default ]] || tools+=(unshare ip sysctl)
for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || stop "$tool is missing."
done
(($(nproc) >= 2)) || stop 'Two cores are needed: one for the server, one for the generator.'
ulimit -n 17000 2>/dev/null || (($(ulimit -n) >= 17000)) || stop "17,000 file descriptors are needed, $(ulimit -n) are allowed (ulimit -n)."

if [[ -z ${COMPARE_INSIDE:-} ]]; then
    build_log=$(dotnet build "$root/Chat.Server" -c Release 2>&1) || stop "$build_log"$'\nThe build failed.'
    [[ $congestion == default ]] || enter_namespace
fi

trap clean_up EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d)
results=$work/results.jsonl
touch "$results"
dll=${ArtifactsPath:-$root/artifacts}/bin/Chat.Server/release/Chat.Server.dll

prepare
if [[ ${only[*]} != idle ]]; then
    start_server
    for name in "${warm_ups[@]}"; do
        echo "warming up: $name" >&2
        load "$name" >/dev/null || true
    done
    for ((run = 1; run <= runs; run++)); do
        for name in "${only[@]}"; do
            [[ $name == idle ]] || measure "$name" "$run"
        done
    done
    stop_server
fi
if [[ " ${only[*]} " == *' idle '* ]]; then
    for ((run = 1; run <= runs; run++)); do
        start_server # What a connection costs can be seen only on memory that no load has grown before.
        measure idle "$run"
        stop_server
    done
fi

[[ -z $out ]] || cat "$results" >>"$out"
print_table "$results"
exit "$status"
