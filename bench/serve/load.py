#!/usr/bin/env python3
"""Load on a server of embeddings: texts a second in batches, requests a second of single texts, and the spread of times.

    bench/serve/load.py --url http://127.0.0.1:8080 --input texts.jsonl --batch 32 --connections 4
    bench/serve/load.py --url … --input texts.jsonl --batch 1 --connections 16 --seconds 20 [--rate 300] [--format base64]

Standard library only. --route openai (default), tei or ollama. With --rate, requests start at that many a second over
all connections, from one process (paced.py), whether or not earlier ones are answered; without it, each connection has a process
that asks as soon as it has its answer.
--check reads every answer, and compares each vector with the first one of the same text. bench/serve/report.py uses this for the
figures that the server is held to.
"""
import argparse
import collections
import http.client
import json
import multiprocessing
import queue
import time
import urllib.parse

import paced


def read_texts(path):
    texts = []
    with open(path) as file:
        for line in file:
            line = line.strip()
            if not line:
                continue
            try:
                value = json.loads(line)
                texts.append(value if isinstance(value, str) else value["text"])
            except (ValueError, KeyError, TypeError):
                texts.append(line)
    return texts


ROUTES = {
    "openai": ("/v1/embeddings", lambda texts, form: {"input": texts, "encoding_format": form}, lambda a: [d["embedding"] for d in a["data"]]),
    "tei": ("/embed", lambda texts, form: {"inputs": texts}, lambda a: a),
    "ollama": ("/api/embed", lambda texts, form: {"model": "any", "input": texts}, lambda a: a["embeddings"]),
}


def prepare(options, texts):
    """Path, batches of texts, bodies, and what compares an answer's vectors with the first ones of the same texts."""
    path, body_of, vectors_of = ROUTES[options.route]
    batches = [texts[i : i + options.batch] for i in range(0, len(texts), options.batch)]
    seen = {}

    def check(at, content):
        if options.check:
            vectors = vectors_of(json.loads(content))
            assert len(vectors) == len(batches[at])
            for text, vector in zip(batches[at], vectors):
                assert seen.setdefault(text, vector) == vector, "two answers to one text"

    return path, batches, [json.dumps(body_of(b, options.format)) for b in batches], check


def client(number, options, texts, ready, results):
    url = urllib.parse.urlparse(options.url)
    path, batches, bodies, check = prepare(options, texts)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
    seconds, statuses, done = [], collections.Counter(), 0
    turn = number
    ready.wait()
    start = time.monotonic()
    end = start + options.seconds
    while time.monotonic() < end if options.seconds else turn < len(batches):
        at = turn % len(batches)
        begin = time.monotonic()
        connection.request("POST", path, bodies[at], {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        statuses[response.status] += 1
        if response.status == 200:
            seconds.append(time.monotonic() - begin)
            done += len(batches[at])
            check(at, content)
        elif response.status in (429, 503):
            time.sleep(min(1, float(response.headers.get("Retry-After", 1)) / 10))
        turn += options.connections
    results.put((seconds, dict(statuses), done, time.monotonic() - start))


def run(options, texts):
    """{"texts", "seconds", "times" (sorted, of the requests that were answered), "statuses"}"""
    if options.rate:
        path, batches, bodies, check = prepare(options, texts)
        return paced.run(options, path, bodies, [len(batch) for batch in batches], check)
    results = multiprocessing.Queue()
    ready = multiprocessing.Barrier(options.connections)
    workers = [multiprocessing.Process(target=client, args=(i, options, texts, ready, results)) for i in range(options.connections)]
    for worker in workers:
        worker.start()
    found = []
    while len(found) < len(workers):
        try:
            found.append(results.get(timeout=1))
        except queue.Empty:
            # One that failed has put nothing there, and nobody else will.
            if any(worker.exitcode not in (None, 0) for worker in workers):
                raise SystemExit("a client failed; its message is above") from None
    for worker in workers:
        worker.join()
    statuses = collections.Counter()
    for _, counts, _, _ in found:
        statuses.update(counts)
    return {
        "texts": sum(done for _, _, done, _ in found),
        "seconds": max(elapsed for _, _, _, elapsed in found),
        "times": sorted(t for seconds, _, _, _ in found for t in seconds),
        "statuses": dict(statuses),
    }


def quantile(times, q):
    """Milliseconds."""
    return 1000 * times[min(len(times) - 1, int(q * len(times)))] if times else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--input", required=True)
    parser.add_argument("--route", choices=ROUTES, default="openai")
    parser.add_argument("--format", choices=["float", "base64"], default="float")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0, help="0: every text once")
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    found = run(options, read_texts(options.input))
    times, elapsed = found["times"], found["seconds"]
    print(f"texts       {found['texts']} in {elapsed:.2f} s: {found['texts'] / elapsed:.1f} texts/s, {len(times) / elapsed:.1f} requests/s")
    print(f"a request   p50 {quantile(times, 0.5):.1f} ms, p95 {quantile(times, 0.95):.1f} ms, p99 {quantile(times, 0.99):.1f} ms")
    print(f"statuses    {found['statuses']}")


if __name__ == "__main__":
    main()
