#!/usr/bin/env bash
# What reading files costs: pages a second of one core, memory and start-up of rag-extract, beside poppler's pdftotext
# where there is one.
#
#   benches/extract.sh FILE...   PDF files; others are timed too, without a comparison
#   PDFTOTEXT=path               the program to compare with (pdftotext on PATH)
#   RUNS=5                       runs of each; the fastest counts
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

[ $# -gt 0 ] || { printf 'figure\treading files\tnot measured: run benches/extract.sh FILE..., with PDF manuals of /usr/share/doc\t\n' && exit 0; }
find_cargo
(cd "$ROOT" && cargo build --quiet --release -p rag-extract)
RAG_PG_PDFIUM=$PDFIUM_LIBRARY PDFTOTEXT=${PDFTOTEXT:-$(command -v pdftotext || true)} RUNS=${RUNS:-5} \
    exec python3 - "$TARGET/release/rag-extract" "$@" <<'PYTHON'
import json, os, struct, subprocess, sys, time

program, files = sys.argv[1], sys.argv[2:]
other, runs = os.environ["PDFTOTEXT"], int(os.environ["RUNS"])

# A small process starts the program: what one had before it became another counts as that one's memory.
STARTER = """
import os, sys
null = os.open(os.devnull, os.O_WRONLY)
files = [(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
_, _, usage = os.wait4(os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=files), 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""

def measure(command, file):
    """The least processor time in seconds and the most memory in MB."""
    start = [sys.executable, "-I", "-S", "-c", STARTER, file] + command
    told = [list(map(float, subprocess.run(start, stdout=subprocess.PIPE).stdout.split())) for _ in range(runs)]
    return min(used for used, _ in told), max(memory for _, memory in told)

def frames(output):
    while len(output) > 4:
        length = struct.unpack(">I", output[:4])[0]
        yield json.loads(output[4 : 4 + length])
        output = output[4 + length :]

print("| file | pages | pages/s of a core | MB | pdftotext: pages/s | MB |")
print("|---|---|---|---|---|---|")
sums = [0, 0.0, 0.0]
for file in files:
    bytes = open(file, "rb").read()
    used, memory = measure([program], file)
    pages = sum("content" in frame for frame in frames(subprocess.run([program], input=bytes, stdout=subprocess.PIPE).stdout))
    if not pages:
        continue
    line = f"| {os.path.basename(file)} | {pages} | {pages / used:.0f} | {memory:.0f} |"
    if other and bytes.startswith(b"%PDF"):
        theirs, their_memory = measure([other, file, "-"], file)
        line += f" {pages / theirs:.0f} | {their_memory:.0f} |"
        sums = [sums[0] + pages, sums[1] + used, sums[2] + theirs]
    print(line)
if sums[0]:
    print(f"| all | {sums[0]} | {sums[0] / sums[1]:.0f} | | {sums[0] / sums[2]:.0f} | |")

def start(command, bytes):
    times = []
    for _ in range(50):
        began = time.perf_counter()
        subprocess.run(command, input=bytes, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    times.sort()
    return 1000 * times[len(times) // 2]

print(f"\nstart-up to the end of a one-line text: {start([program], b'One line.'):.1f} ms"
      f" (without loading pdfium {start([program, '--format', 'plain'], b'One line.'):.1f} ms,"
      f" /bin/true {start(['/bin/true'], None):.1f} ms)")
PYTHON
