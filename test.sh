#!/usr/bin/env bash
# The whole gate: restore, format, build with warnings as errors, every test, the server's over each way to the sockets, and the
# scripts against a running server.
# Nothing may be skipped here; plain `dotnet test` is the version for a machine with only the .NET SDK.
#
# usage: ./test.sh      from any folder. The last line is the sum: "N passed, N failed, N skipped".
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
# Hexadecimal, so a quarter of a second. The server's own setting compiles what is hot at once. Most of the hundreds that start here end before
# that pays, and it is a quarter of the CPU of a test that kills servers. `dotnet test` leaves it as it is.
export DOTNET_TC_CallCountingDelayMs=100

artifacts=${ArtifactsPath:-$PWD/artifacts}
work=$(mktemp -d)
failures=$work/failures.txt
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

has_chromium() {
    command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome ||
        command -v google-chrome-stable
} >/dev/null

# Sets missing to the Debian packages of what the tests need and this machine lacks.
find_missing() {
    missing=()
    command -v curl >/dev/null || missing+=(curl)
    has_postgres || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    has_chromium || missing+=(chromium-headless-shell)
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

# run_tests PROJECT ARGUMENT...: runs its program and adds the results to the sum. `dotnet test` runs the same tests, and says nothing of one that hangs.
run_tests() {
    local name=$1 status=0 summary
    shift
    # Four minutes are the most that is usual. A test that takes longer than one is named at once, and then every minute.
    timeout 600 dotnet "$artifacts/bin/$name/release/$name.dll" -noColor -longRunning 60 "$@" 2>&1 | tee "$work/tests.log" || status=$?
    ((status != 124)) || fail "$name is not done after 600 s"
    # Each that failed or was skipped, and what it says of itself, which is indented below it.
    awk '/ \[(FAIL|SKIP)\]$/ { on = 1; print; next } /^ ? ? ? ?[^ ]/ { on = 0 } on' "$work/tests.log" >>"$failures"
    # The last line: "NAME  Total: 7, Errors: 0, Failed: 0, Skipped: 0, Not Run: 0, Time: 1.234s".
    summary=$(grep "^ *$name  Total: " "$work/tests.log" | tail -n 1 || true)
    local run=$(($(count Total "$summary") - $(count "Not Run" "$summary")))
    local bad=$(($(count Failed "$summary") + $(count Errors "$summary")))
    # A project without a test has not passed; neither has one that crashed, which only the exit code tells.
    ((run > 0 && (status == 0 || bad > 0))) || {
        bad=$((bad + 1))
        fail "$name ran $run tests and ended with code $status"
    }
    passed=$((passed + run - $(count Failed "$summary") - $(count Skipped "$summary")))
    failed=$((failed + bad))
    skipped=$((skipped + $(count Skipped "$summary")))
}

# Says what failed, here and again at the end: what comes between may be thousands of lines.
fail() {
    echo "FAILED: $1" | tee -a "$failures"
}

count() {
    local number
    number=$(sed -n "s/.* $1: \([0-9]*\),.*/\1/p" <<<"$2")
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
        fail "$name"
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

# White space by the files alone: what else the style asks (.editorconfig) the build finds, with the analyzers, and a warning there is an error.
step "format"
dotnet format whitespace . --folder --exclude artifacts --verify-no-changes

step "build"
dotnet build Chat.sln -c Release --no-restore

# One project after the other: side by side they take as long on two cores, and Coyote's threads, which wait for each other, take six times as long.
for project in tests/*.Tests; do
    step "$(basename "$project")"
    run_tests "$(basename "$project")"
done

# Their times mean nothing here: each must still run.
run_script "every benchmark once: Chat.Bench --dry" dotnet "$artifacts/bin/Chat.Bench/release/Chat.Bench.dll" --dry

# On Linux the run above went over the shards, with io_uring where the kernel allows it, and over both stores. The other ways out, each with
# one store: what starts servers, without the classes that choose a way for themselves (OnPipes), which would do the same again, and without those
# that break what nodes share. The tests of the transport itself have seen every way above.
servers=(-namespace Chat.Server.Tests.EndToEnd -namespace Chat.Server.Tests.Conformance -class- '*OnPipes' -class- '*NodeFaultsOnPostgres')
step "the server's tests with ENGINE=send, on SQLite"
ENGINE=send run_tests Chat.Server.Tests "${servers[@]}" -class- '*OnPostgres'

step "the server's tests with TRANSPORT=sockets, on PostgreSQL"
TRANSPORT=sockets run_tests Chat.Server.Tests "${servers[@]}" -class- '*OnSqlite'

step "a server on a fresh folder"
if start_server; then
    echo "$url"
    run_script "scripts/test_api.sh" scripts/test_api.sh "$url"
    run_script "scripts/test_websocket.py" test_websocket
    run_script "SIGTERM stops the server with code 0" stop_server
else
    failed=$((failed + 3))
    fail "the server does not start"
fi

step "sum"
[[ ! -s $failures ]] || cat "$failures"
((skipped == 0)) || echo "$skipped tests were skipped, although everything they need should be here: this counts as a failure."
echo "$passed passed, $failed failed, $skipped skipped"
((passed > 0 && failed == 0 && skipped == 0))
