"""Asks a running service the questions on standard input: one after the other for latency, then from
eight threads for throughput. Prints p50 and p99 in milliseconds and questions a second."""

import http.client
import sys
import threading
import time
import urllib.parse

PORT = int(sys.argv[1])
QUESTIONS = [line.strip() for line in sys.stdin if line.strip()]
THREADS = 8


def ask(connection: http.client.HTTPConnection, question: str) -> None:
    connection.request("GET", "/search?" + urllib.parse.urlencode({"q": question}))
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        sys.exit(f"the service answered {response.status}: {body[:200]!r}")


def latencies() -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    for question in QUESTIONS[:20]:
        ask(connection, question)
    result = []
    for question in QUESTIONS:
        started = time.perf_counter()
        ask(connection, question)
        result.append((time.perf_counter() - started) * 1000)
    return sorted(result)


def throughput() -> float:
    def work(share: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        for question in share:
            ask(connection, question)

    threads = [threading.Thread(target=work, args=(QUESTIONS[i::THREADS] * 2,)) for i in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * len(QUESTIONS) / (time.perf_counter() - started)


times = latencies()
print(f"{times[len(times) // 2]:.2f} {times[int(len(times) * 0.99)]:.2f} {throughput():.1f}")
