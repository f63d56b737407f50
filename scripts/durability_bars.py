#!/usr/bin/env python3
"""Measures how fast messages become durable, and how fast they are served again, on this machine.

usage: scripts/durability_bars.py [--only NAME,...] [--runs N] [--seconds N]
  --only     some of: copy accept latency history recovery (default: all)
  --runs     runs of each figure, of which the median counts (5)
  --seconds  measured time of a run under load (8)

Each figure is printed with its bar. Needs Linux, the .NET SDK and PostgreSQL; a private cluster with PostgreSQL's own settings for
durability is made in a temporary folder, by the user postgres when this one is root, and goes away with the script. Everything is built
in Release first. All takes about 15 minutes; figures of a machine that does something else meanwhile are worth nothing.
exit: 0 when every bar is held, 1 when one is missed, 2 when something needed is missing
"""
import argparse
import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARTIFACTS = pathlib.Path(os.environ.get("ArtifactsPath", ROOT / "artifacts"))
PARTS = ["copy", "accept", "latency", "history", "recovery"]
HISTORY_ROWS = 1_000_000
HISTORY_CALLS = 400
PAGE_ROWS = 50

rows = []


def program(name):
    return ["dotnet", str(ARTIFACTS / "bin" / name / "release" / f"{name}.dll")]


def stop(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def report(what, value, unit, bar, holds, detail=""):
    rows.append((what, value, unit, bar, holds, detail))
    print(f"{'holds ' if holds else 'MISSED'}  {what}: {value:.3g} {unit} (bar: {bar}) {detail}", flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Postgres:
    """A private cluster; a context manager."""

    def __init__(self, work):
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda name: int(name.split("/")[4]), reverse=True)
        found = [folder for folder in folders + os.environ["PATH"].split(":") if os.path.exists(f"{folder}/initdb")]
        if not found:
            stop("No PostgreSQL server programs in /usr/lib/postgresql/*/bin or PATH. On Debian: apt-get install postgresql.")
        self.bin = found[0]
        self.folder = work / "postgres"
        self.folder.mkdir()
        self.port = free_port()
        self.count = 0
        if os.geteuid() == 0:
            os.chmod(work, 0o755)
            shutil.chown(self.folder, "postgres")

    def run(self, *command):
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run([*prefix, *command], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")

    def __enter__(self):
        self.run(f"{self.bin}/initdb", "-D", f"{self.folder}/data", "-U", "chat", "-A", "trust", "-E", "UTF8", "--locale=C")
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "-o", options, "start")
        return self

    def __exit__(self, *_):
        self.run(f"{self.bin}/pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def new_database(self):
        self.count += 1
        self.run(f"{self.bin}/createdb", "-h", str(self.folder), "-p", str(self.port), "-U", "chat", f"bars{self.count}")
        return f"postgres://chat@127.0.0.1:{self.port}/bars{self.count}"

    def sql(self, url, text):
        self.run(f"{self.bin}/psql", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", text)


class Server:
    """A server of this build on a free port; a context manager."""

    def __init__(self, work, url=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=work))
        self.url = url
        self.process = None

    @property
    def database(self):
        return self.folder / "data" / "chat.db"

    def __enter__(self):
        settings = dict(os.environ, RATE_LIMITS="off", LOG_FORMAT="text", DATABASE_URL=self.url, HOST="127.0.0.1", PORT="0", DATA_DIR="data")
        self.process = subprocess.Popen(program("Chat.Server"), cwd=self.folder, env=settings, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "Listening on http://" in line:
                self.port = int(line.split("Listening on http://")[1].split()[0].rsplit(":", 1)[1].rstrip("/"))
                return self
        stop("The server did not start.")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.close()
        self.process.wait()

    def register(self):
        body = json.dumps({"email": f"bars{time.time_ns()}@example.com", "password": "pass123", "username": "Bars"}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/auth/register", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["token"]


def load(work, url, *arguments):
    """A run of the load tool with a server of its own; returns its report."""
    folder = tempfile.mkdtemp(dir=work)
    database = ["--database-url", url] if url else []
    done = subprocess.run([*program("Chat.LoadTests"), *arguments, *database, "--report", folder], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
        stop(f"{' '.join(arguments)} ended with {done.returncode}.")
    name = "verify.json" if arguments[0] == "verify" else "report.json"
    return json.loads(pathlib.Path(folder, name).read_text())


def median(values):
    return statistics.median(values)


def spread(values):
    return f"[{min(values):.3g} .. {max(values):.3g}]"


def measure_copy(work, options):
    """The writer against psql's \\copy, and against an INSERT for each message: medians of BenchmarkDotNet's iterations."""
    folder = tempfile.mkdtemp(dir=work)
    done = subprocess.run(
        [*program("Chat.Bench"), "--filter", "*BulkLoadBenchmarks*", "*CopyBatchBenchmarks.PreparedInsert(BatchRows: 1)", "*CopyBatchBenchmarks.Importer(BatchRows: 1000)",
         "--iterationCount", str(options.runs), "--warmupCount", "2", "--exporters", "fulljson", "--artifacts", folder],
        capture_output=True, text=True, cwd=ROOT, check=False)
    ns = {}
    for path in glob.glob(f"{folder}/results/*.json"):
        for benchmark in json.loads(pathlib.Path(path).read_text())["Benchmarks"]:
            if benchmark["Statistics"]:
                ns[benchmark["Method"]] = benchmark["Statistics"]["Median"]
    if len(ns) != 4:
        print(done.stdout[-4000:], file=sys.stderr)
        stop("The benchmarks failed.")
    report("COPY writer, batches of 1000, of psql \\copy", ns["PsqlCopy"] / ns["Writer"], "x", ">= 0.8", ns["PsqlCopy"] / ns["Writer"] >= 0.8,
           f"{1e9 / ns['Writer']:,.0f} against {1e9 / ns['PsqlCopy']:,.0f} rows/s")
    report("COPY writer, batches of 1000, of an INSERT each", ns["PreparedInsert"] / ns["Importer"], "x", ">= 12", ns["PreparedInsert"] / ns["Importer"] >= 12,
           f"{1e9 / ns['Importer']:,.0f} against {1e9 / ns['PreparedInsert']:,.0f} rows/s")


def measure_accept(work, options, postgres):
    """50 rooms of one member, who has a number of messages under way, each until it is durable: delivery is after the commit here, as acks always are."""
    for store, bar, window in (("PostgreSQL", 40_000, 64), ("SQLite", 60_000, 64)):
        rates, memory = [], []
        for _ in range(options.runs):
            result = load(
                work, postgres.new_database() if store == "PostgreSQL" else "", "saturate", "--rooms", "50", "--members", "1", "--publishers", "1",
                "--window", str(window), "--seconds", str(options.seconds), "--warm-up", "6", "--threads", "1", "--set", "DELIVERY=committed",
                "--assert", "lost=0", "--assert", "unanswered=0", "--assert", "refused=0", "--assert", "duplicates=0", "--assert", "reordered=0")
            rates.append(result["figures"]["messages_per_s"])
            timeline = [row["server_memory_mib"] for row in result["timeline"] if row.get("server_memory_mib")]
            memory.append(timeline[-1] - timeline[len(timeline) // 2])
            print(store, f"{rates[-1]:,.0f}/s", {name: round(value, 1) for name, value in result["figures"].items() if "cpu" in name or "memory" in name}, flush=True)
        report(f"{store}: accepted and durable over 50 sockets", median(rates), "/s", f">= {bar:,}", median(rates) >= bar, spread(rates))
        report(f"{store}: growth of memory in the second half", median(memory), "MiB", "<= 20", median(memory) <= 20, spread(memory))


def measure_latency(work, options, postgres):
    for rate in (1_000, 10_000):
        p50, p99 = [], []
        for _ in range(options.runs):
            result = load(
                work, postgres.new_database(), "fanout", "--rooms", "50", "--members", "1", "--publishers", "1", "--rate", str(rate),
                "--seconds", str(options.seconds), "--warm-up", "6", "--assert", "lost=0", "--assert", "unanswered=0", "--assert", "refused=0")
            ack = next(step for step in result["steps"] if step["name"] == "ack")["latency"]
            p50.append(ack["p50"])
            p99.append(ack["p99"])
            print(f"{rate}/s: ack p50 {ack['p50']:.2f} ms, p99 {ack['p99']:.2f} ms", flush=True)
        report(f"PostgreSQL: ack at {rate:,}/s, p50", median(p50), "ms", "<= 2", median(p50) <= 2, spread(p50))
        report(f"PostgreSQL: ack at {rate:,}/s, p99", median(p99), "ms", "<= 15", median(p99) <= 15, spread(p99))


def fill_sqlite(path):
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO users (id, email, username, password_hash, created_at) VALUES (999, 'fill@example.com', 'Fill', 'x', 0)")
        database.executemany(
            "INSERT INTO messages (id, room_id, seq, epoch, sender_id, nonce, content, created_at) VALUES (?, 1, ?, 1, 999, NULL, ?, ?)",
            ((seq, seq, "x" * 128, seq) for seq in range(1, HISTORY_ROWS + 1)))
        database.execute("UPDATE rooms SET last_seq = ? WHERE id = 1", (HISTORY_ROWS,))
    database.close()


def fill_postgres(postgres, url):
    postgres.sql(url, f"""
        INSERT INTO users (id, email, username, password_hash) VALUES (999, 'fill@example.com', 'Fill', 'x');
        INSERT INTO messages (id, room_id, seq, epoch, sender_id, content, created_at)
        SELECT seq, 1, seq, 1, 999, repeat('x', 128), now() FROM generate_series(1, {HISTORY_ROWS}) AS seq;
        UPDATE rooms SET last_seq = {HISTORY_ROWS} WHERE id = 1""")
    postgres.sql(url, "VACUUM ANALYZE messages")


def page_times(server, token, query):
    """Milliseconds of each call, one after the other over one connection."""
    request = f"GET /rooms/1/messages?limit={PAGE_ROWS}{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    times = []
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for _ in range(HISTORY_CALLS):
            started = time.perf_counter()
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(1 << 16)
            head, _, body = answer.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(1 << 16)
            times.append((time.perf_counter() - started) * 1000)
            if not head.startswith(b"HTTP/1.1 200") or body.count(b'"seq":') != PAGE_ROWS:
                stop(f"A page is not what it should be: {head!r}")
    return times


def measure_history(work, options, postgres):
    for store in ("PostgreSQL", "SQLite"):
        url = postgres.new_database() if store == "PostgreSQL" else ""
        server = Server(work, url)
        with server:
            pass  # Makes the tables.
        if url:
            fill_postgres(postgres, url)
        else:
            fill_sqlite(server.database)
        with server:
            token = server.register()
            depths = {"newest": ""} | {f"before {part:.0%}": f"&before={max(PAGE_ROWS + 1, int(HISTORY_ROWS * part))}" for part in (0.9, 0.5, 0.1, 0)}
            for query in depths.values():
                page_times(server, token, query)  # Warm, as a server is.
            by_depth = {name: [] for name in depths}
            for _ in range(options.runs):
                for name, query in depths.items():
                    by_depth[name].append(median(page_times(server, token, query)))
            p50 = {name: median(values) for name, values in by_depth.items()}
            worst = max(value / p50["newest"] for value in p50.values())
            report(f"{store}: history page at any depth of 1M, p50 against the newest", worst, "x", "<= 2", worst <= 2,
                   ", ".join(f"{name} {value:.2f} ms" for name, value in p50.items()))


def measure_recovery(work, options):
    for store in ("PostgreSQL", "SQLite"):
        postgres = ["--postgres", "--database-stops", str(2 * options.runs), "--database-freezes", "0"] if store == "PostgreSQL" else []
        result = load(work, "", "verify", *postgres, "--kills", str(2 * options.runs), "--terminations", "0", "--cuts", "500", "--duration", "40")
        for what, key, bar in (("kill -9 and restart", "first_ack_after_server_start_ms", 2000), ("the database's return", "first_ack_after_database_return_ms", 1000)):
            times = result[key]
            if times["count"] > 0:
                report(f"{store}: first ack after {what}, p50", times["p50"], "ms", f"<= {bar}", times["p50"] <= bar, f"{times['count']} times, at most {times['max']} ms")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--no-build", action="store_true", help="measure what is built")
    options = parser.parse_args()
    parts = options.only.split(",")
    if set(parts) - set(PARTS):
        parser.error(f"--only takes {', '.join(PARTS)}")
    if not options.no_build:
        subprocess.run(["dotnet", "build", str(ROOT / "Chat.sln"), "-c", "Release", "-v", "q", "--nologo"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="chat-bars-") as name:
        work = pathlib.Path(name)
        if "copy" in parts:
            measure_copy(work, options)
        if {"accept", "latency", "history"} & set(parts):
            with Postgres(work) as postgres:
                for part, measure in (("accept", measure_accept), ("latency", measure_latency), ("history", measure_history)):
                    if part in parts:
                        measure(work, options, postgres)
        if "recovery" in parts:
            measure_recovery(work, options)
    print("\n| What | Measured | Bar | |\n|---|---|---|---|")
    for what, value, unit, bar, holds, detail in rows:
        print(f"| {what} | {value:,.3g} {unit} {detail} | {bar} | {'' if holds else 'missed'} |")
    sys.exit(0 if all(row[4] for row in rows) else 1)


main()
