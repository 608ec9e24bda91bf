#!/usr/bin/env python3
"""The figures that `wde serve` is held to, all in one run, so that they can be compared:

    bench/serve/report.py --input texts.jsonl [--wde build/release/bin/wde] [--model DIR] [--dtype int8] [--seconds 20] [--rounds 3]

1. bulk: batches of 32 on 4 connections with JSON floats, as a share of what `wde embed` does with the same texts (aim: 0.9);
2. single: the texts' first words, one a request, on 16 connections (aim: 648 requests a second, twice TEI's);
3. spread: at half of that aim, 324 a second, and at half of what was reached (aim: p99 at most 1.5 times p50); of all those texts,
   and of the ones that have the commonest number of tokens, so that the spread is the server's and not the texts';
4. memory: reading the weights alone, as often, by threads that never sleep (bench_peak): what of the spread is the machine's.

`wde embed` and bulk take turns; the medians are compared. The time in which `wde embed` loads the model is taken off.
Nothing else should run on the machine. Needs build/release/bin/bench_peak (configure with -DWDE_BENCH=ON). Minutes of hostile clients: tests/e2e/soak.py.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request

import load

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
SHORT = 8  # words
AIM = 648  # requests a second


class Server:
    def __init__(self, options, flags=()):
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [options.wde, "serve", "--model", options.model, "--dtype", options.dtype, "--port", "0", "--access-log", "off", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.stderr, env=ENVIRONMENT)
        while True:
            self.stderr.seek(0)
            log = self.stderr.read().decode(errors="replace")
            found = re.search(r"listening on (http://[\d.:]+)", log)
            if found and "wde serve: ready" in log:
                self.url = found[1]
                return
            if self.process.poll() is not None:
                raise SystemExit(log)
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        if self.process.wait(timeout=60) != 0:
            raise SystemExit("the server did not end well")


def embed_seconds(options, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
        file.flush()
        start = time.monotonic()
        subprocess.run([options.wde, "embed", "--model", options.model, "--dtype", options.dtype, "--input", file.name, "--output", os.devnull],
                       check=True, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        return time.monotonic() - start


def embed_rate(options, texts):
    """Texts a second of `wde embed`, without its start."""
    return len(texts) / (embed_seconds(options, texts) - embed_seconds(options, texts[:1]))


def read_weights(options):
    """The megabytes of the engine's packed weights, and what bench_peak says of reading as many."""
    asked = [options.wde, "doctor", "--model", options.model, "--dtype", options.dtype, "--json"]
    found = json.loads(subprocess.run(asked, check=True, env=ENVIRONMENT, stdout=subprocess.PIPE).stdout)
    megabytes = max(1, round(found["engine"]["weight_bytes"] / 1e6))
    program = pathlib.Path(options.wde).parent / "bench_peak"
    read = subprocess.run([program, str(os.cpu_count()), str(megabytes)], check=True, stdout=subprocess.PIPE).stdout
    return megabytes, json.loads(read)


def shortened(texts):
    return [" ".join(text.split()[:SHORT]) or "a" for text in texts]


def ask(server, texts, **settings):
    options = {"url": server.url, "route": "openai", "format": "float", "rate": 0, "seconds": 0, "check": False, **settings}
    found = load.run(argparse.Namespace(**options), texts)
    if set(found["statuses"]) != {200}:
        raise SystemExit(f"not every request was answered: {found['statuses']}")
    return found


def equally_long(server, texts):
    """The commonest number of tokens, and the texts that have it."""
    sizes = []
    for begin in range(0, len(texts), 100):
        body = json.dumps({"inputs": texts[begin : begin + 100]}).encode()
        request = urllib.request.Request(server.url + "/tokenize", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            sizes += [len(tokens) for tokens in json.load(answer)]
    size = statistics.mode(sizes)
    return size, [text for text, own in zip(texts, sizes) if own == size]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="JSON lines or lines of text, a thousand or more")
    parser.add_argument("--wde", default=str(ROOT / "build/release/bin/wde"))
    parser.add_argument("--model", default=str(pathlib.Path.home() / ".cache/wde/all-MiniLM-L6-v2"))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = load.read_texts(options.input)
    server = Server(options)
    try:
        ask(server, texts[:64], batch=32, connections=4)  # warm
        alone, bulk = [], []
        for _ in range(options.rounds):
            alone.append(embed_rate(options, texts))
            found = ask(server, texts, batch=32, connections=4)
            bulk.append(found["texts"] / found["seconds"])
            print(f"wde embed   {alone[-1]:8.1f} texts/s    bulk {bulk[-1]:8.1f} texts/s", flush=True)
        print(f"bulk        {statistics.median(bulk) / statistics.median(alone):.3f} of wde embed (aim: at least 0.9)", flush=True)
        short = shortened(texts)
        found = ask(server, short, batch=1, connections=16, seconds=options.seconds)
        rate = len(found["times"]) / found["seconds"]
        print(f"single      {rate:.0f} requests/s on 16 connections (aim: at least {AIM}), p50 {load.quantile(found['times'], 0.5):.2f} ms", flush=True)
        size, equal = equally_long(server, short)
        for half in (AIM / 2, rate / 2):
            for which, chosen in (("all", short), (f"of {size} tokens", equal)):
                found = ask(server, chosen, batch=1, connections=16, seconds=options.seconds, rate=half)
                middle, late = load.quantile(found["times"], 0.5), load.quantile(found["times"], 0.99)
                print(f"spread      at {half:.0f} requests/s, {which}: p50 {middle:.2f} ms, p99 {late:.2f} ms, {late / middle:.2f} times "
                      "(aim: at most 1.5)", flush=True)
        with urllib.request.urlopen(server.url + "/metrics") as answer:
            metrics = answer.read().decode()
        batches, = re.findall(r"^te_batch_next_size_count\S* (\d+)", metrics, re.MULTILINE)
        inside, = re.findall(r"^te_batch_next_size_sum\S* (\d+)", metrics, re.MULTILINE)
        print(f"batches     {batches}, {int(inside) / int(batches):.1f} texts each")
    finally:
        server.stop()
    megabytes, read = read_weights(options)
    middle, late = read["again_p50_ms"], read["again_p99_ms"]
    print(f"memory      {megabytes} MB read 324 times a second: p50 {middle:.2f} ms, p99 {late:.2f} ms, {late / middle:.2f} times")


if __name__ == "__main__":
    main()
