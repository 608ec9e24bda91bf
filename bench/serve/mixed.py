#!/usr/bin/env python3
"""Queries beside bulk load, on a real server over real sockets: what somebody else's indexing does to a query, and the other way
round, with the server's scheduler `fair` and with `fifo` in one run.

    bench/serve/mixed.py [--wde build/release/bin/wde] [--model DIR] [--seconds 20] [--schedulers fair,fifo] [--rate 20]

1. queries: one short text each, --rate a second, alone and beside one client with 2,048 texts of 252 tokens, 4 clients with 64 and
   16 with 64, who ask again as soon as they have their answers. Aims with `fair`: p99 beside bulk at most p99 alone and the time of
   two batches (a batch is one of the bulk texts, or --batch-time if that is more); the bulk clients' tokens a second at least
   95 % of what the same clients have alone.
2. shares (`fair` alone): two clients with an API key each, both with more than the server can do, one with ten times the requests in
   flight, with weights 1:1 and 1:3. Aim: in any 5 seconds each has its share within 10 %.

Nothing else should run on the machine. The clients take a little of it: both sides of every comparison have them.
"""
import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import sys
import tempfile
import threading
import time
import types
import urllib.parse
import urllib.request

import load
import paced
import report

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORDS = "time year people way day man thing woman life child world school state family student group country problem hand part place".split()
BULK_TOKENS = 252
SCENES = {"1 x 2048": (1, 2048), "4 x 64": (4, 64), "16 x 64": (16, 64)}
QUERY_TOKENS = 3
WINDOW = 5  # seconds


def bulk_text(number):
    """As many tokens as BULK_TOKENS, of a tokenizer that knows these words and adds two of its own."""
    return " ".join(WORDS[(number * 7 + i * (1 + number % 5)) % len(WORDS)] for i in range(BULK_TOKENS - 2))


def ask_again(host, port, body, key, stop, answered):
    """One request after the other until `stop`; `answered` counts tokens by the second."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection = http.client.HTTPConnection(host, port, timeout=600)
    while not stop.is_set():
        try:
            connection.request("POST", "/v1/embeddings", body, headers)
            response = connection.getresponse()
            content = response.read()
        except OSError:
            if stop.is_set():
                return
            raise
        if response.status == 200:
            answered.append((time.monotonic(), int(re.search(rb'"total_tokens": ?(\d+)', content[-4096:])[1])))
        elif response.status == 429:
            time.sleep(0.2)
        else:
            raise SystemExit(f"bulk was refused: {response.status} {content[:300]}")


def bulk_process(host, port, clients, texts, key, stop, results):
    bodies = [json.dumps({"input": [bulk_text(i * texts + k) for k in range(texts)], "encoding_format": "base64"}).encode() for i in range(clients)]
    answered = []
    threads = [threading.Thread(target=ask_again, args=(host, port, body, key, stop, answered), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    stop.wait()
    results.put(list(answered))  # the connections end with the process, and with them what is still asked


class Bulk:
    def __init__(self, url, clients, texts, key=""):
        at = urllib.parse.urlparse(url)
        self.stop, self.results = multiprocessing.Event(), multiprocessing.Queue()
        self.process = multiprocessing.Process(target=bulk_process, args=(at.hostname, at.port, clients, texts, key, self.stop, self.results))
        self.process.start()

    def end(self):
        self.stop.set()
        answered = self.results.get()
        self.process.terminate()
        self.process.join()
        return answered


def computed_tokens(url):
    """Of batches that were executed."""
    with urllib.request.urlopen(url + "/metrics") as answer:
        return sum(float(line.rsplit(" ", 1)[1]) for line in answer.read().decode().splitlines() if line.startswith("te_batch_next_tokens_sum"))


def queries(url, rate, seconds):
    options = types.SimpleNamespace(url=url, rate=rate, seconds=seconds, connections=min(400, int(rate * seconds)))
    bodies = [json.dumps({"input": word, "encoding_format": "base64"}) for word in WORDS]
    return paced.run(options, "/v1/embeddings", bodies, [1] * len(bodies), lambda at, content: None)


def scene(url, rate, seconds, clients=0, texts=0):
    """Milliseconds of queries (p50, p99), and the bulk clients' tokens a second; without queries where the rate is 0."""
    bulk = Bulk(url, clients, texts) if clients else None
    if bulk:
        time.sleep(2)
    before, start = computed_tokens(url), time.monotonic()
    if rate:
        measured = []

        def end_bulk():  # what of the queries still waits then is soon answered
            elapsed = time.monotonic() - start
            measured.append((computed_tokens(url) - before) / elapsed - rate * QUERY_TOKENS)
            if bulk:
                bulk.end()

        timer = threading.Timer(seconds, end_bulk)
        timer.start()
        found = queries(url, rate, seconds)
        timer.join()
        return found, measured[0]
    time.sleep(seconds)
    rate_of_bulk = (computed_tokens(url) - before) / (time.monotonic() - start)
    bulk.end()
    return None, rate_of_bulk


def serve(options, *flags):
    return report.Server(types.SimpleNamespace(wde=options.wde, model=options.model, dtype=options.dtype), (*flags, "--header-timeout", "600", "--idle-timeout", "600"))


def text_seconds(options):
    """Of one bulk text on one worker, and of two at once: what a batch of one takes."""
    server = serve(options, "--workers", "1")
    host = urllib.parse.urlparse(server.url)
    body = json.dumps({"input": bulk_text(1), "encoding_format": "base64"})
    times = []
    for _ in range(10):
        connection = http.client.HTTPConnection(host.hostname, host.port)
        start = time.monotonic()
        connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        times.append(time.monotonic() - start)
    server.stop()
    return sorted(times)[len(times) // 2]


def mixed(options):
    failed = []
    batch = 1000 * max(0.020, text_seconds(options))
    print(f"a batch is {batch:.1f} ms: one bulk text, or --batch-time")
    print(f"{'scheduler':<10} {'beside':<10} {'p50 ms':>9} {'p99 ms':>9} {'bulk tokens/s':>14} {'of bulk alone':>14}  statuses")
    for name in options.schedulers.split(","):
        server = serve(options, "--scheduler", name)
        queries(server.url, options.rate, 2)  # warm
        alone, _ = scene(server.url, options.rate, options.seconds)
        p99_alone = load.quantile(alone["times"], 0.99)
        print(f"{name:<10} {'nobody':<10} {load.quantile(alone['times'], 0.5):9.1f} {p99_alone:9.1f} {'':>14} {'':>14}  {dict(alone['statuses'])}", flush=True)
        for beside, (clients, texts) in SCENES.items():
            _, bulk_alone = scene(server.url, 0, options.seconds, clients, texts)
            found, bulk = scene(server.url, options.rate, options.seconds, clients, texts)
            p99 = load.quantile(found["times"], 0.99)
            print(f"{name:<10} {beside:<10} {load.quantile(found['times'], 0.5):9.1f} {p99:9.1f} {bulk:14.0f} {bulk / bulk_alone:14.1%}  {dict(found['statuses'])}", flush=True)
            if name != "fair":
                continue
            if p99 > p99_alone + 2 * batch:
                failed.append(f"p99 beside {beside}: {p99:.1f} ms, at most {p99_alone + 2 * batch:.1f} are allowed")
            if bulk < 0.95 * bulk_alone:
                failed.append(f"bulk beside queries ({beside}): {bulk / bulk_alone:.1%} of bulk alone")
        server.stop()
    return failed


def shares(options):
    failed = []
    for weights in ((1, 1), (1, 3)):
        with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
            file.writelines(f"key-{i} weight={weight}\n" for i, weight in enumerate(weights))
            file.flush()
            server = serve(options, "--scheduler", "fair", "--api-key-file", file.name)
            few, many = Bulk(server.url, 8, 4, "key-0"), Bulk(server.url, 80, 4, "key-1")
            start = time.monotonic() + 3
            time.sleep(3 + max(options.seconds, 2 * WINDOW))
            end = time.monotonic()
            answers = [few.end(), many.end()]
            server.stop()
        expected, worst, at = weights[0] / sum(weights), 0.0, start
        while at + WINDOW <= end:
            tokens = [sum(n for when, n in one if at <= when < at + WINDOW) for one in answers]
            worst = max(worst, abs(tokens[0] / max(1, sum(tokens)) / expected - 1))
            at += 0.5
        total = [sum(n for when, n in one if start <= when < end) for one in answers]
        print(f"weights {weights[0]}:{weights[1]}, 8 and 80 requests in flight: tokens {total[0]} and {total[1]}, "
              f"{total[1] / max(1, total[0]):.2f} times as many; in any {WINDOW} s the share is off by {worst:.1%} at most", flush=True)
        if worst > 0.10:
            failed.append(f"shares with weights {weights[0]}:{weights[1]} are off by {worst:.1%}")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wde", default=str(ROOT / "build/release/bin/wde"))
    parser.add_argument("--model", default=os.path.expanduser("~/.cache/wde/all-MiniLM-L6-v2"))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seconds", type=float, default=20, help="of each scene")
    parser.add_argument("--rate", type=float, default=20, help="queries a second")
    parser.add_argument("--schedulers", default="fair,fifo")
    parser.add_argument("--only", choices=["mixed", "shares"])
    options = parser.parse_args()
    failed = []
    if options.only != "shares":
        failed += mixed(options)
    if options.only != "mixed":
        failed += shares(options)
    for sentence in failed:
        print("MISSED:", sentence)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
