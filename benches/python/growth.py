"""How long searches of more shards and more chunks take, from how long they take here.

Reads traces: logs of a server that hold, for searches one after the other, a line with the time of each call of rag.shard (line prefix: the
database), one of the search itself and, of the server that asks, the processor time of the search (log_statement_stats). --size CHUNKS=TRACE is of a single shard of so many chunks, --shards COUNT=TRACE of so many
shards. Prints figures, and a table for docs/explanation/distributed.md.

The model: a search is the embedding of the question, and then three rounds: statistics, legs, chunks. A round takes as long as the slowest of
the shards that it asks, plus a network round trip. Times of shards are drawn independently from what was measured for a shard of that
size: between two sizes each quantile is interpolated over the logarithm of the size, beyond the largest it goes on as between the last two. The
server that asks adds its processor time, which grows linearly with the number of shards and is fitted to what it was here: shards of servers of
their own do not keep it waiting for a processor. The last round asks only shards that have one of the fifty best.
"""
import argparse
import bisect
import math
import random
import re
import statistics

LINE = re.compile(r"^(\S+) LOG:  duration: ([0-9.]+) ms  (parse|bind|execute|statement)\b[^:]*: (.*)")
PROCESSOR = re.compile(r"^\t?!\t([0-9.]+) s user, ([0-9.]+) s system")
STEP = re.compile(r"\"step\":\s*\{?\"(\w+)\"")
STEPS = ("statistics", "candidates", "fetch")
DRAWS = 20000
NETWORK = 0.2  # ms of a round trip within a data centre
TOTALS = (10**6, 10**7, 10**8, 10**9)
COUNTS = (2, 4, 8, 16, 32, 64, 128, 256)
# Of a shard: beyond it a server has not the memory, below it nobody spreads.
MOST, LEAST = 10**7, 2000
FETCHED = 50


def searches(path):
    """Of each search, its time, the times of each shard by step, and the processor time of the server that asks."""
    found, rounds, pending = [], {}, {}
    last = None
    for line in open(path, encoding="utf-8", errors="replace"):
        match, used = LINE.match(line), PROCESSOR.match(line)
        if used and found:
            found[-1][2] = 1000 * (float(used[1]) + float(used[2]))
        elif match:
            database, milliseconds, kind, sql = match[1], float(match[2]), match[3], match[4]
            if "rag.shard" in sql:
                pending[database] = pending.get(database, 0) + milliseconds
                last = (database, kind)
            elif kind == "statement" and ("rag_search" in sql or "rag_embed" in sql):
                found.append([milliseconds, rounds, 0.0])
                rounds, pending = {}, {}
        elif last and last[1] == "execute" and "DETAIL:" in line:
            step = STEP.search(line)
            database = last[0]
            if step:
                rounds.setdefault(step[1].lower(), []).append(pending.pop(database, 0))
            last = None
    # The first ones open connections and warm up.
    return found[len(found) // 10 :]


def quantile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


class Shard:
    """Times of a shard by its size."""

    def __init__(self, traces):
        self.sizes = sorted(traces)
        self.times = {}
        for size, found in traces.items():
            for step in STEPS:
                self.times[size, step] = sorted(time for _, rounds, _ in found for time in rounds.get(step, []))

    def time(self, size, step, share):
        if len(self.sizes) == 1:
            return quantile(self.times[self.sizes[0], step], share)
        at = min(max(bisect.bisect(self.sizes, size), 1), len(self.sizes) - 1)
        low, high = self.sizes[at - 1], self.sizes[at]
        a, b = (quantile(self.times[one, step], share) for one in (low, high))
        position = max(0.0, math.log(size / low) / math.log(high / low))
        return a + max(0.0, b - a) * position if position > 1 else a + (b - a) * position


def waited(found, embed):
    """Time that neither the embedding nor the slowest shard of a round explains."""
    return sorted(total - embed - sum(max(times) for times in rounds.values()) for total, rounds, _ in found)


def simulated(shard, size, count, embed, fixed, each):
    fetched = round(count * (1 - (1 - 1 / count) ** FETCHED))
    asked = {"statistics": count, "candidates": count, "fetch": fetched}
    times = []
    for _ in range(DRAWS):
        # The slowest of n independent draws is one draw at the n-th root.
        slowest = sum(shard.time(size, step, random.random() ** (1 / asked[step])) for step in STEPS)
        times.append(embed + fixed + each * count + slowest + NETWORK * len(STEPS))
    times.sort()
    return f"{quantile(times, 0.5):.0f} / {quantile(times, 0.99):.0f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--embed", required=True, help="a trace of embeddings of questions")
    parser.add_argument("--chunks", type=int, required=True, help="of a shard of --shards")
    parser.add_argument("--size", action="append", default=[])
    parser.add_argument("--shards", action="append", default=[])
    arguments = parser.parse_args()
    random.seed(42)
    read = lambda pairs: {int(key): searches(path) for key, path in (pair.split("=", 1) for pair in pairs)}
    sizes, shards = read(arguments.size), read(arguments.shards)
    say = lambda what, value, bar="": print(f"figure\t{what}\t{value}\t{bar}")
    embeddings = searches(arguments.embed)
    embed, embed_processor = (quantile(sorted(one[at] for one in embeddings), 0.5) for at in (0, 2))
    say("embedding of the question, p50 ms; on a processor", f"{embed:.2f}; {embed_processor:.2f}")
    shard = Shard(sizes)
    for size in shard.sizes:
        values = " / ".join(f"{quantile(shard.times[size, step], 0.5):.2f}, {quantile(shard.times[size, step], 0.99):.2f}" for step in STEPS)
        say(f"a shard of {size} chunks alone, statistics / legs / chunks, p50, p99 ms", values)
    points = []
    for count in sorted(shards):
        found = shards[count]
        wall = waited(found, embed)
        used = sorted(processor - embed_processor for _, _, processor in found)
        points.append((count, quantile(used, 0.5)))
        say(f"{count} shards: what the server that asks adds, ms on a processor, p50 / p99", f"{quantile(used, 0.5):.2f} / {quantile(used, 0.99):.2f}", "p50 <= 3")
        # With more processes than processors it waits for one, and for shards that do.
        say("... with waiting for a processor, p10 / p50", f"{quantile(wall, 0.1):.2f} / {quantile(wall, 0.5):.2f}")
    if len(points) > 1:
        each, fixed = statistics.linear_regression(*zip(*points))
    else:
        each, fixed = 0.0, points[0][1]
    each = max(each, 0.0)
    say("... fitted: ms, and ms a shard", f"{fixed:.2f} + {each:.3f}")
    for count, found in sorted(shards.items()):
        measured = sorted(total for total, _, _ in found)
        modelled = simulated(shard, arguments.chunks, count, embed, fixed, each)
        say(f"{count} shards of {arguments.chunks} chunks, p50 / p99 ms: measured; of the model", f"{quantile(measured, 0.5):.0f} / {quantile(measured, 0.99):.0f}; {modelled}")
    print(f"\n| shards | {' | '.join(f'10^{round(math.log10(total))}' for total in TOTALS)} |\n|---|{'---|' * len(TOTALS)}")
    for count in COUNTS:
        cells = []
        for total in TOTALS:
            size = total / count
            cells.append(simulated(shard, size, count, embed, fixed, each) if LEAST <= size <= MOST else "")
        print(f"| {count} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
