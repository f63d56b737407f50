#!/usr/bin/env bash
# Fuzzes the parsers of strangers' bytes (tests/Chat.Fuzz) with afl-fuzz, on a copy of the build that SharpFuzz has instrumented.
#
# usage: scripts/fuzz.sh [--minutes N] [TARGET...]      5 minutes; all targets, side by side
#        scripts/fuzz.sh --keep [TARGET...]             adds what earlier runs found worth keeping to tests/Chat.Fuzz/corpus
#
# Needs afl-fuzz (Debian: afl++), which it installs as root, and the SharpFuzz tool, which it restores. Everything is under
# artifacts/fuzz; a target that ran before goes on from what it found. The exit code is 1 when an input broke a promise: run it again with
#     artifacts/bin/Chat.Fuzz/release/Chat.Fuzz TARGET artifacts/fuzz/out/TARGET/default/crashes/id...
# repair it, and move the file to tests/Chat.Fuzz/corpus/TARGET, where the tests run it from then on.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

# The target is no native program; it starts slowly; and who fuzzes overnight does not want to be asked about the machine's settings.
export AFL_SKIP_BIN_CHECK=1 AFL_FORKSRV_INIT_TMOUT=120000 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1
export AFL_NO_UI=1 AFL_QUIET=1
# A run of a target is over in well under a millisecond; what takes this long hangs, also on a busy machine.
readonly timeout_ms=10000
# Of what was found worth keeping: the smallest, so that the tests stay fast and the repository small.
readonly keep_files=60 keep_bytes=600

build=${ArtifactsPath:-$PWD/artifacts}/bin/Chat.Fuzz/release
fuzz=${ArtifactsPath:-$PWD/artifacts}/fuzz
corpus=tests/Chat.Fuzz/corpus
minutes=5
keep=false
targets=()
while (($# > 0)); do
    case $1 in
        --minutes) minutes=${2:?--minutes wants a number} && shift ;;
        --keep) keep=true ;;
        -*) sed -n 's/^# \(usage.*\|  *scripts.*\)/\1/p' "$0" >&2 && exit 2 ;;
        *) targets+=("$1") ;;
    esac
    shift
done

install_afl() {
    command -v afl-fuzz >/dev/null && return
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends afl++; } >"$fuzz/apt.log" 2>&1 ||
            tail -n 20 "$fuzz/apt.log"
    fi
    command -v afl-fuzz >/dev/null || {
        echo "afl-fuzz is missing; by the name of Debian's package: afl++." >&2
        exit 1
    }
}

# Coverage is what the fuzzer is led by: of our parsers, of the library that reads tokens, and of the slow inflater, which stands
# in for the native one. The instrumented copy runs under afl-fuzz only.
instrument() {
    dotnet tool restore >/dev/null
    bin=$(mktemp -d "$fuzz/bin.XXXXXX")
    cp -r "$build/." "$bin"
    dotnet sharpfuzz "$bin/Chat.Protocol.dll"
    dotnet sharpfuzz "$bin/Chat.Server.dll" Chat.Server.Auth.Token
    dotnet sharpfuzz "$bin/Chat.Fuzz.dll" Chat.Protocol.Tests
    dotnet sharpfuzz "$bin/Microsoft.IdentityModel.JsonWebTokens.dll"
    dotnet sharpfuzz "$bin/Microsoft.IdentityModel.Tokens.dll"
}

# start TARGET: in the background.
start() {
    local target=$1 input=$fuzz/in/$1 dictionary=tests/Chat.Fuzz/dictionaries/$1.dict
    [[ ! -d $corpus/$target ]] || cp "$corpus/$target/"* "$input/"
    [[ ! -d $fuzz/out/$target/default/queue ]] || input=- # Goes on.
    local options=(-i "$input" -o "$fuzz/out/$target" -t "$timeout_ms" -m none -G 4098 -V $((minutes * 60)))
    [[ ! -f $dictionary ]] || options+=(-x "$dictionary")
    afl-fuzz "${options[@]}" -- dotnet "$bin/Chat.Fuzz.dll" "$target" >"$fuzz/$target.log" 2>&1 &
    running+=($!)
}

# statistic TARGET NAME
statistic() {
    sed -n "s/^$2 *: //p" "$fuzz/out/$1/default/fuzzer_stats" 2>/dev/null || echo "?"
}

# Puts the smallest inputs that reached code which none before them had into the corpus, under names that follow from their bytes.
keep_corpus() {
    local target=$1 file
    mkdir -p "$corpus/$target"
    find "$fuzz/out/$target/default/queue" -maxdepth 1 -name '*+cov*' -size "-${keep_bytes}c" -printf '%s %p\n' | sort -n | head -n "$keep_files" |
        while read -r _ file; do
            cp "$file" "$corpus/$target/$(sha256sum <"$file" | head -c 12)"
        done
    echo "$target: $(find "$corpus/$target" -type f | wc -l) files"
}

stop() {
    ((${#running[@]} == 0)) || kill "${running[@]}" 2>/dev/null || true
    wait
    [[ -z $bin ]] || rm -rf "$bin"
}

running=()
bin=
trap stop EXIT
mkdir -p "$fuzz/out"
$keep || install_afl
dotnet build tests/Chat.Fuzz/Chat.Fuzz.csproj -c Release -v quiet
((${#targets[@]} > 0)) || mapfile -t targets < <("$build/Chat.Fuzz" --list)
if $keep; then
    for target in "${targets[@]}"; do
        keep_corpus "$target"
    done
    exit 0
fi

instrument
"$build/Chat.Fuzz" --seeds "$fuzz/in"
for target in "${targets[@]}"; do
    start "$target"
done
echo "fuzzing ${targets[*]} for $minutes minutes"
failed=0
for pid in "${running[@]}"; do
    wait "$pid" || failed=1
done
running=()

printf '%-14s %12s %8s %8s %9s %8s %6s\n' target executions per_sec inputs coverage crashes hangs
for target in "${targets[@]}"; do
    printf '%-14s %12s %8s %8s %9s %8s %6s\n' "$target" "$(statistic "$target" execs_done)" "$(statistic "$target" execs_per_sec)" \
        "$(statistic "$target" corpus_count)" "$(statistic "$target" bitmap_cvg)" \
        "$(statistic "$target" saved_crashes)" "$(statistic "$target" saved_hangs)"
    [[ $(statistic "$target" saved_crashes) == 0 && $(statistic "$target" saved_hangs) == 0 ]] || failed=1
done
((failed == 0)) || grep -h 'PROGRAM ABORT' -A 2 "$fuzz"/*.log || true
exit "$failed"
