#!/usr/bin/env python3
"""The plug-in mpi from outside: one program in several processes, which gives what one process gives, and ends whatever happens.

tests/property/divided_test.cc compares every model's numbers. Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR with plugins/mpi.so
(-DWDE_MPI=ON), and mpirun; skipped without.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import serving

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
PLUGINS = pathlib.Path(os.environ.get("WDE_BUILD_DIR", ".")) / "plugins"
MPI = str(PLUGINS / "mpi.so")
BOTH = ("mpi_pipeline", "mpi_tensor")
TEXTS = ["a first text", "another", "the third one is longer than the others: " + "word " * 30, "naïve café", "x"] * 20
LINES = "".join(json.dumps(text) + "\n" for text in TEXTS).encode()


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    # Containers often forbid a process to read another's memory. What fails is killed without the second of grace.
    mpi = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
           "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_odls_base_sigkill_timeout": "0",
           "OMPI_MCA_mpi_yield_when_idle": "1"}
    return {**env, **mpi, **more}


def mpirun(processes):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(processes)]


def wde(command, *arguments, front=(), stdin=b"", env=None):
    return subprocess.run([*front, BINARY, command, *map(str, arguments)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, env=env or environment())


def divided(command, executor, *arguments, processes=2, plugins=MPI, **more):
    return wde(command, "--plugin", plugins, "--executor", executor, *arguments, front=mpirun(processes), **more)


@unittest.skipUnless((PLUGINS / "mpi.so").exists() and shutil.which("mpirun"), "no plugins/mpi.so (-DWDE_MPI=ON), or no mpirun")
class Mpi(unittest.TestCase):
    def assertFine(self, done):
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def assertRefused(self, done, words, status):
        self.assertEqual(done.returncode, status, done.stderr.decode())
        self.assertIn(words, done.stderr.decode())
        self.assertEqual(done.stdout, b"")

    def test_one_result_of_what_the_first_process_reads(self):
        alone = wde("embed", "--model", DATA / "modernbert", "--input", "-", stdin=LINES)
        self.assertFine(alone)
        self.assertEqual(alone.stdout.count(b"\n"), len(TEXTS))
        for executor, processes in [("mpi_pipeline", 3), ("mpi_tensor", 3), ("mpi_tensor", 1)]:
            with self.subTest(executor=executor, processes=processes):
                done = divided("embed", executor, "--model", DATA / "modernbert", "--input", "-", processes=processes, stdin=LINES)
                self.assertFine(done)
                self.assertEqual(done.stdout, alone.stdout)
                self.assertNotIn(b"wde", done.stderr)

    def test_without_mpirun_it_is_one_process(self):
        alone = wde("embed", "--model", DATA / "bert-mean", "some text")
        done = wde("embed", "--model", DATA / "bert-mean", "--plugin", MPI, "--executor", "mpi_pipeline", "some text")
        self.assertFine(done)
        self.assertEqual(done.stdout, alone.stdout)

    def test_other_commands(self):
        for command, arguments in [("rerank", ("--model", DATA / "qwen3-reranker", "--query", "a", "--", *TEXTS[:5])),
                                   ("rerank", ("--model", DATA / "colbert-stanford", "--query", "a", "--", *TEXTS[:5])),
                                   ("tokenize", ("--model", DATA / "bert-mean", "--", *TEXTS[:5]))]:
            with self.subTest(command=command):
                done = divided(command, "mpi_tensor", *arguments)
                self.assertFine(done)
                self.assertEqual(done.stdout, wde(command, *arguments).stdout)
        listed = wde("models", "--plugin", MPI, front=mpirun(2))
        self.assertFine(listed)
        self.assertEqual(listed.stdout.count(b"Workflows"), 1)
        self.assertIn(b"mpi_pipeline, mpi_tensor", listed.stdout)

    def test_output_file_is_the_first_process_s(self):
        # This one reads its text before it has an engine, too.
        arguments = ("--model", DATA / "bert-mean", "--format", "npy")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "hidden.npy"
            self.assertFine(divided("hidden", "mpi_tensor", *arguments, "--output", file, stdin=b"one text\n"))
            self.assertEqual(file.read_bytes(), wde("hidden", *arguments, stdin=b"one text\n").stdout)

    def test_each_process_keeps_its_portion(self):
        facts = {}
        for executor in BOTH:
            done = divided("doctor", executor, "--model", DATA / "modernbert", "--json")
            self.assertFine(done)
            facts[executor] = json.loads(done.stdout)["engine"]
        whole = json.loads(wde("doctor", "--model", DATA / "modernbert", "--json").stdout)["engine"]["weight_bytes"]
        layers, columns = facts["mpi_pipeline"], facts["mpi_tensor"]
        self.assertEqual(layers["facts"]["portion"], "layers 0 to 1 of 4")
        self.assertTrue(layers["facts"]["process 1"].startswith("layers 2 to 3 of 4, "))
        share = "2 of 4 heads, and its share of the other columns of every layer"
        self.assertEqual(columns["facts"]["portion"], share)
        self.assertTrue(columns["facts"]["process 1"].startswith(share))
        for engine in (layers, columns):
            others = float(re.search(r"([\d.]+) MB of weights", engine["facts"]["process 1"])[1]) * 1e6
            self.assertLess(engine["weight_bytes"], 0.62 * whole)
            self.assertLess(others, 0.62 * whole + 5e4)  # it is said in tenths of a megabyte

    def test_packed_weights_are_kept_of_each_portion(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = ("--model", DATA / "modernbert", "--pack-cache", folder, "--", *TEXTS[:5])
            runs = [divided("embed", executor, *arguments) for executor in BOTH + BOTH]
            for run in runs:
                self.assertFine(run)
                self.assertEqual(run.stdout, runs[0].stdout)
            self.assertEqual(len(list(pathlib.Path(folder).iterdir())), 4)

    def test_server(self):
        front = mpirun(2)
        flags = ("--plugin", MPI, "--executor", "mpi_tensor")
        server = serving.Server(DATA / "bge-m3", DATA / "bert-cross-encoder", flags=flags, env=environment(), front=front)
        try:
            processes = self.processes_of(server.process.pid)
            self.assertEqual(len(processes), 2)
            # Two models, and two engines on the weights of one.
            want = serving.embed_command("some text", model=DATA / "bge-m3")[0]["embedding"]
            for _ in range(2):
                got = server.post("/v1/embeddings", {"model": "bge-m3", "input": "some text"})
                self.assertEqual(got.status, 200, got)
                self.assertEqual(got.json["data"][0]["embedding"], want)
            self.assertEqual(server.post("/embed_sparse", {"inputs": "some text"}).status, 200)
            ranked = server.post("/v1/rerank", {"model": "bert-cross-encoder", "query": "a", "documents": ["b", "c"]})
            self.assertEqual(ranked.status, 200, ranked)
            before = self.seconds_of(processes)
            time.sleep(1)
            self.assertLess(self.seconds_of(processes) - before, 0.3, "an idle server keeps processors busy")
            os.kill(processes[0], signal.SIGTERM)  # the first one: it answers what it has, and all end
            server.process.wait(timeout=60)
            log = server.stop()
            self.assertIn("wde serve: stopped", log)
            self.assertEqual(log.count("listening on"), 1)
        finally:
            if server.process.poll() is None:
                server.process.kill()

    @staticmethod
    def processes_of(launcher):
        """The processes of mpirun by rank."""
        found = {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                variables = dict(v.split("=", 1) for v in (folder / "environ").read_text().split("\0") if "=" in v)
            except OSError:
                continue
            if int(fields[1]) == launcher and "OMPI_COMM_WORLD_RANK" in variables:
                found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(folder.name)
        return [found[rank] for rank in sorted(found)]

    @staticmethod
    def seconds_of(processes):
        ticks = 0
        for process in processes:
            fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def test_what_cannot_be_divided(self):
        for executor, model, processes, words in [
            ("mpi_pipeline", "bert-mean", 3, "there are more processes (3) than layers to divide (2)"),
            ("mpi_pipeline", "albert", 2, "than layers to divide (1)"),
            ("mpi_pipeline", "static-embedding", 2, "the tensors' names do not number them"),
            ("mpi_tensor", "static-embedding", 2, "its layers are not of a kind whose columns can be divided"),
            ("mpi_tensor", "clip", 2, "it has a tower for images"),
        ]:
            with self.subTest(executor=executor, model=model):
                done = divided("embed", executor, "--model", DATA / model, "some text", processes=processes)
                self.assertRefused(done, words, status=2)

    def test_what_fails_in_the_first_process(self):
        for arguments, status, words in [(("--model", "/nowhere"), 1, "/nowhere"),
                                         (("--model", DATA / "bert-mean", "--scheduler", "none"), 2, "unknown scheduler 'none'"),
                                         (("--model", DATA / "bert-mean", "--input", "/nowhere"), 1, "/nowhere")]:
            with self.subTest(words=words):
                self.assertRefused(divided("embed", "mpi_tensor", *arguments), words, status)
        # One text that is wrong, as in one process.
        lines = b'"good"\n"\xff"\n"good too"\n'
        arguments = ("--model", DATA / "bert-mean", "--input", "-", "--input-format", "text")
        done = divided("embed", "mpi_pipeline", *arguments, stdin=lines)
        alone = wde("embed", *arguments, stdin=lines)
        self.assertEqual((done.returncode, done.stdout), (alone.returncode, alone.stdout))
        self.assertEqual(done.returncode, 1)

    def failing(self, executor, rank, at):
        return divided("embed", executor, "--model", DATA / "modernbert", "--set", "runner=failing", "--input", "-",
                       plugins=f"{MPI}:{PLUGINS / 'test_failing.so'}", stdin=LINES, processes=3,
                       env=environment(FAIL_RANK=str(rank), FAIL_AT=at))

    def test_one_process_cannot_load(self):
        for executor, rank in [("mpi_pipeline", 0), ("mpi_pipeline", 2), ("mpi_tensor", 1)]:
            with self.subTest(executor=executor, rank=rank):
                who = f"process {rank}: " if rank > 0 else ""
                self.assertRefused(self.failing(executor, rank, "load"), f"wde embed: {who}the runner was told to fail at load", 1)

    def test_one_process_cannot_compute(self):
        for rank in (0, 2):
            with self.subTest(executor="mpi_pipeline", rank=rank):
                done = self.failing("mpi_pipeline", rank, "run")
                self.assertEqual(done.returncode, 1)
                for line in done.stdout.splitlines():
                    self.assertEqual(json.loads(line)["error"], "the runner was told to fail at run")
                self.assertEqual(done.stdout.count(b"\n"), 20)  # texts that fail alike end the run
        for rank in (0, 1):
            with self.subTest(executor="mpi_tensor", rank=rank):
                done = self.failing("mpi_tensor", rank, "run")
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"wde: process {rank} of 3: the runner was told to fail at run", done.stderr.decode())

    def test_one_process_dies(self):
        for executor, rank in [("mpi_pipeline", 0), ("mpi_pipeline", 1), ("mpi_tensor", 2)]:
            with self.subTest(executor=executor, rank=rank):
                self.assertNotEqual(self.failing(executor, rank, "crash").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
