"""Runs the built `wde` for a test of its command line. Standard library only."""
import json
import os
import pathlib
import subprocess
import unittest

BINARY = os.environ.get("WDE_BINARY", "")
DATA = pathlib.Path(os.environ.get("WDE_TEST_DATA", "."))
MODEL = str(DATA / "bert-mean")
TIMEOUT = 300

if not BINARY:
    raise SystemExit("set WDE_BINARY to the program and WDE_TEST_DATA to the directory of checkpoints")


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    env.update(extra or {})
    return env


def run(*arguments, stdin=b"", env=None):
    """stdin: bytes, or None for /dev/null."""
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(
        [BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT, env=environment(env), **source
    )


def wde(command, *arguments, model=MODEL, **options):
    return run(command, "--model", str(model), *arguments, **options)


def rows(process):
    return [json.loads(line) for line in process.stdout.splitlines()]


def jsonl(*items):
    return "".join(json.dumps(item) + "\n" for item in items).encode()


class Case(unittest.TestCase):
    def assertDone(self, process):
        self.assertEqual(process.returncode, 0, process.stderr.decode(errors="replace"))

    def assertFailed(self, process, *words, status=1):
        """The status, and one sentence that names these words; never a stack trace or a signal."""
        message = process.stderr.decode(errors="replace")
        self.assertEqual(process.returncode, status, message)
        for word in words:
            self.assertIn(word, message)
        self.assertTrue(message.startswith("wde"), message)
        self.assertNotIn("terminate called", message)
        self.assertLess(len(message), 4000)
