#!/usr/bin/env python3
"""How `wde` is called: wrong use, help, environment variables, prompts; and the commands models, doctor and bench.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from cli import BINARY, MODEL, Case, environment, rows, run, wde


class Use(Case):
    def test_wrong_use_is_status_2(self):
        for arguments in [
            ["embed", "--no-such-flag", "--model", MODEL, "a"],
            ["embed", "--model", MODEL, "--format", "xml", "a"],
            ["embed", "--model", MODEL, "--max-length", "many", "a"],
            ["embed", "--model", MODEL, "--max-length", "0", "a"],
            ["embed", "--model", MODEL, "--workers", "-1", "a"],
            ["embed", "--model", MODEL, "--attention", "sideways", "a"],
            ["embed", "--model", MODEL, "--attn-backend", "no-such", "a"],
            ["embed", "--model", MODEL, "--scheduler", "no-such", "a"],
            ["embed", "--model", MODEL, "--executor", "no-such", "a"],
            ["embed", "--model", MODEL, "--workflow", "no-such", "a"],
            ["embed", "--model", MODEL, "a", "--input", "file"],
            ["embed", "--model", MODEL, "--task", "embed", "a"],
            ["embed", "a"],
            ["bench", "--model", MODEL],
            ["bench", "--model", MODEL, "--input", "x", "--runs", "0"],
            ["no-such-command"],
            ["--no-such-flag"],
        ]:
            with self.subTest(arguments):
                self.assertFailed(run(*arguments, stdin=None), status=2)

    def test_no_command_teaches(self):
        process = run(stdin=None)
        self.assertEqual(process.returncode, 2)
        self.assertIn(b"Examples:", process.stderr)

    def test_no_model_teaches(self):
        self.assertFailed(run("embed", "a"), "--model", "WDE_MODEL", status=2)

    def test_no_text_on_a_terminal_teaches(self):
        import pty

        leader, follower = pty.openpty()
        try:
            process = subprocess.run(
                [BINARY, "embed", "--model", MODEL], stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                timeout=60, env=environment(),
            )
        finally:
            os.close(leader)
            os.close(follower)
        self.assertFailed(process, "--input", status=2)

    def test_help_and_version(self):
        for command in [[], ["embed"], ["hidden"], ["tokenize"], ["bench"], ["models"], ["doctor"]]:
            process = run(*command, "--help", stdin=None)
            self.assertDone(process)
            self.assertGreaterEqual(process.stdout.decode().split("Examples:")[1].count("  wde "), 1, command)
        self.assertIn(b"WDE_MAX_LENGTH", run("embed", "--help").stdout)
        self.assertRegex(run("--version").stdout.decode(), r"^wde \d+\.\d+")

    def test_environment_variables(self):
        model = {"WDE_MODEL": MODEL}
        process = run("tokenize", "a b c d e f", env={**model, "WDE_MAX_LENGTH": "4"})
        self.assertDone(process)
        self.assertEqual(len(rows(process)[0]["ids"]), 4)
        process = run("tokenize", "a b c d e f", "--max-length", "5", env={**model, "WDE_MAX_LENGTH": "4"})
        self.assertEqual(len(rows(process)[0]["ids"]), 5, "a flag goes before the environment")
        self.assertFailed(run("embed", "a", env={**model, "WDE_MAX_LENGTH": "x"}), "WDE_MAX_LENGTH", status=2)

    def test_prompt(self):
        with_prompt = rows(wde("tokenize", "b", "--prompt", "a "))[0]["ids"]
        self.assertEqual(with_prompt, rows(wde("tokenize", "a b"))[0]["ids"])
        self.assertEqual(rows(wde("tokenize", "b", "--prompt", "")), rows(wde("tokenize", "b")))

    def test_models(self):
        process = run("models", "--json", stdin=None)
        self.assertDone(process)
        found = json.loads(process.stdout)
        self.assertIn("BertModel", [model["architecture"] for model in found["models"]])
        self.assertTrue(found["workflows"] and found["modules"])
        text = run("models", stdin=None)
        self.assertDone(text)
        self.assertIn(b"BertModel", text.stdout)

    def test_doctor(self):
        self.assertDone(run("doctor", stdin=None))
        for task in ("embed", "token_embed", "tokenize"):
            process = run("doctor", "--model", MODEL, "--task", task, "--json", stdin=None)
            self.assertDone(process)
            found = json.loads(process.stdout)
            self.assertEqual(found["problems"], [])
            self.assertEqual(found["engine"]["task"], task)
            self.assertGreater(found["engine"]["probe"]["tokens"], 5)
            self.assertEqual(found["engine"].get("serve_scheduler"), None if task == "tokenize" else "fair")
        process = run("doctor", "--model", MODEL, stdin=None)
        self.assertDone(process)
        self.assertIn(b"embedding [48]", process.stdout)
        self.assertRegex(process.stdout, rb"\n  scheduler +length_aware\n(.*\n)*  scheduler of serve +fair\n")
        process = run("doctor", "--model", MODEL, "--scheduler", "fifo", stdin=None)
        self.assertRegex(process.stdout, rb"\n  scheduler +fifo\n")
        self.assertNotIn(b"scheduler of serve", process.stdout)

    def test_bench(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "texts.txt"
            path.write_text("".join(f"text number {i}\n" for i in range(300)))
            arguments = ["bench", "--model", MODEL, "--input", str(path), "--singles", "5", "--concurrency", "7"]
            process = run(*arguments, "--json", "--runs", "2", stdin=None)
            self.assertDone(process)
            found = json.loads(process.stdout)
            keys = (
                "texts tokens seconds texts_per_second tokens_per_second single_p50_ms single_p99_ms load_seconds "
                "first_vector_seconds peak_rss_mb cost_ms cost_error"
            ).split()
            self.assertEqual(list(found), keys)
            self.assertEqual((found["texts"], len(found["seconds"])), (300, 2))
            self.assertGreater(found["tokens"], 900)
            self.assertEqual(list(found["cost_ms"]), ["16", "128"])  # the model takes no more
            self.assertLess(0, found["cost_ms"]["16"])
            self.assertLess(4 * found["cost_ms"]["16"], found["cost_ms"]["128"])
            self.assertGreater(found["cost_error"], 0)
            self.assertGreaterEqual(found["first_vector_seconds"], found["load_seconds"])
            process = run(*arguments, stdin=None)
            self.assertDone(process)
            self.assertIn(b"texts/s", process.stdout)
            self.assertRegex(process.stdout, rb"cost model +16 tokens [0-9.e-]+ ms, 128 tokens [0-9.e-]+ ms, of one worker")


if __name__ == "__main__":
    unittest.main()
