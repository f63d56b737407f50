#!/usr/bin/env bash
# The whole gate: restore, format, build with warnings as errors, every test, the server's over each way to the sockets, and the
# scripts against a running server.
# Nothing may be skipped here; plain `dotnet test` is the version for a machine with only the .NET SDK.
#
# usage: ./test.sh      from any folder. The last line is the sum: "N passed, N failed, N skipped".
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

artifacts=${ArtifactsPath:-$PWD/artifacts}
work=$(mktemp -d)
server=
passed=0
failed=0
skipped=0

clean_up() {
    if [[ -n $server ]]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT

step() {
    printf '\n== %s (%d s)\n' "$1" "$SECONDS"
}

# Prints the first python3 that has the package websockets.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import websockets' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

has_postgres() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# Sets missing to the Debian packages of what the tests need and this machine lacks.
find_missing() {
    missing=()
    command -v curl >/dev/null || missing+=(curl)
    has_postgres || missing+=(postgresql)
    find_python >/dev/null || missing+=(python3-websockets)
    [[ $(uname) != Linux ]] || command -v cc >/dev/null || missing+=(gcc libc6-dev)
}

install_missing() {
    find_missing
    ((${#missing[@]} == 0)) && return
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "installing ${missing[*]}"
        apt-get update -q >"$work/apt.log" 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >>"$work/apt.log" 2>&1 ||
            tail -n 20 "$work/apt.log"
        find_missing
    fi
    if ((${#missing[@]} > 0)); then
        echo "Missing, by the names of Debian's packages: ${missing[*]}." >&2
        echo "Install them, or run 'dotnet test', which skips what needs them." >&2
        exit 1
    fi
}

# run_dotnet_tests --solution FILE | --project FILE: adds the results to the sum.
run_dotnet_tests() {
    local status=0 summary results=$work/results
    # Six minutes are the most that is usual. A test that hangs ends its project, and is named.
    timeout 600 dotnet test "$@" -c Release --no-build --no-progress --no-ansi --results-directory "$results" \
        --hangdump --hangdump-type None --hangdump-timeout 120s 2>&1 | tee "$work/dotnet.log" || status=$?
    ((status != 124)) || echo "FAILED: not done after 600 s"
    if compgen -G "$results/*_hang.log" >/dev/null; then
        echo "FAILED: nothing has happened for 120 s. These tests had begun:"
        sort -u "$results"/*_hang.log
    fi
    rm -rf "$results"
    # The summary is the end of the output: total, failed, succeeded, skipped, each on its line.
    summary=$(sed -n '/^Test run summary/,$p' "$work/dotnet.log")
    passed=$((passed + $(count succeeded "$summary")))
    failed=$((failed + $(count failed "$summary")))
    skipped=$((skipped + $(count skipped "$summary")))
    # A project without a test has not passed; neither has one that crashed, which only the exit code tells.
    failed=$((failed + $(grep -c 'Zero tests ran' <<<"$summary" || true)))
    ((status == 0 || failed > 0)) || failed=1
}

count() {
    local number
    number=$(sed -n "s/^ *$1: *\([0-9]*\).*/\1/p" <<<"$2" | head -n 1)
    echo "${number:-0}"
}

# run_script NAME COMMAND...: one more test, passed or failed.
run_script() {
    local name=$1
    shift
    step "$name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}

start_server() {
    mkdir "$work/server"
    (cd "$work/server" && exec dotnet "$artifacts/bin/Chat.Server/release/Chat.Server.dll" --port 0 --host localhost --data-dir data --database-url "") >"$work/server.log" 2>&1 &
    server=$!
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        url=$(sed -n 's/.*Listening on \(http[^ ]*\).*/\1/p' "$work/server.log" | head -n 1)
        [[ -n $url ]] && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/server.log"
    return 1
}

register() {
    curl --silent --fail --header 'Content-Type: application/json' \
        --data '{"email":"gate@example.com","password":"pass123","username":"Gate"}' "$url/auth/register" |
        sed 's/.*"token":"\([^"]*\)".*/\1/'
}

test_websocket() {
    local token
    token=$(register) && "$(find_python)" scripts/test_websocket.py "$token" 1 --url "${url/http/ws}"
}

# SIGTERM must end it with code 0: every accepted message is stored.
stop_server() {
    local pid=$server
    server=
    kill -TERM "$pid" && wait "$pid"
}

command -v dotnet >/dev/null || {
    echo "The .NET 10 SDK is missing: https://dotnet.microsoft.com/download" >&2
    exit 1
}

step "what the tests need"
install_missing

step "restore"
dotnet restore Chat.sln --locked-mode

step "format"
dotnet format whitespace Chat.sln --no-restore --verify-no-changes
dotnet format style Chat.sln --no-restore --verify-no-changes # The analyzers run in the build, where a warning is an error.

step "build"
dotnet build Chat.sln -c Release --no-restore

# One project after the other: side by side they take as long on two cores, and Coyote's threads, which wait for each other, take six times as long.
step "dotnet test"
run_dotnet_tests --solution Chat.sln --max-parallel-test-modules 1

# Their times mean nothing here: each must still run.
run_script "every benchmark once: Chat.Bench --dry" dotnet "$artifacts/bin/Chat.Bench/release/Chat.Bench.dll" --dry

# On Linux the run above went over the shards, with io_uring where the kernel allows it, and over both stores. The other ways out, each with
# one store, and without the classes that choose a way for themselves (OnPipes), which would do the same again:
step "the server's tests with ENGINE=send, on SQLite"
ENGINE=send run_dotnet_tests --project tests/Chat.Server.Tests/Chat.Server.Tests.csproj --filter-not-class '*OnPipes' '*OnPostgres'

step "the server's tests with TRANSPORT=sockets, on PostgreSQL"
TRANSPORT=sockets run_dotnet_tests --project tests/Chat.Server.Tests/Chat.Server.Tests.csproj --filter-not-class '*OnPipes' '*OnSqlite'

step "a server on a fresh folder"
if start_server; then
    echo "$url"
    run_script "scripts/test_api.sh" scripts/test_api.sh "$url"
    run_script "scripts/test_websocket.py" test_websocket
    run_script "SIGTERM stops the server with code 0" stop_server
else
    failed=$((failed + 3))
fi

step "sum"
((skipped == 0)) || echo "$skipped tests were skipped, although everything they need should be here: this counts as a failure."
echo "$passed passed, $failed failed, $skipped skipped"
((passed > 0 && failed == 0 && skipped == 0))
