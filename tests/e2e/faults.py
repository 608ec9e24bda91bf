"""Runs programs whose system calls fail on purpose (tests/faults/faults.c). Standard library only.

The loop of a test: `for done in each_call("write path=out.npy error=ENOSPC", run)`: the first call that matches fails, in the
next run the second, until a run has no call left to fail. Whatever fails, the program must end as acceptable() says.
"""
import os
import pathlib
import tempfile
import unittest

LIBRARY = pathlib.Path(os.environ.get("WDE_BUILD_DIR", ".")) / "tests" / "wde_faults.so"


def require():
    """For setUpModule."""
    if os.environ.get("WDE_SANITIZE"):
        raise unittest.SkipTest("a sanitizer takes the calls that would be made to fail")
    if not LIBRARY.exists():
        raise SystemExit(f"{LIBRARY} is missing: build the target wde_faults, and set WDE_BUILD_DIR to the build's folder")


class Faults:
    """The environment of one run, and afterwards what was struck in it."""

    def __init__(self, rules):
        self.folder = tempfile.TemporaryDirectory(prefix="wde-faults-")
        self.report = pathlib.Path(self.folder.name) / "report"
        self.environment = {"LD_PRELOAD": str(LIBRARY), "WDE_FAULTS": rules, "WDE_FAULTS_REPORT": str(self.report)}

    def struck(self):
        """How many calls were changed."""
        return len(self.report.read_bytes().splitlines()) if self.report.exists() else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def each_call(rule, run, calls=None, order="nth"):
    """Yields (number, what run(environment) returned) for each call that could be made to fail: all of them one by one, or
    those that `calls` numbers. order="from": it fails and all that follow do."""
    number = 0
    for number in calls if calls is not None else iter(lambda: number + 1, 0):
        with Faults(f"{rule} {order}={number}") as faults:
            done = run(faults.environment)
            if faults.struck() == 0:
                return
            yield number, done
        if calls is None and number > 5000:
            raise AssertionError(f"no end of calls that match {rule}")


def acceptable(case, done, status=(0, 1)):
    """Done, or one sentence why not; never a signal, a panic or the 99 of a wrong rule. `done`: a CompletedProcess."""
    words = done.stderr.decode(errors="replace")
    case.assertIn(done.returncode, status, words)
    for bad in ("terminate called", "panicked", "Traceback", "memory allocation of"):
        case.assertNotIn(bad, words)
    if done.returncode == 1:
        case.assertRegex(words, r"\Awde\b.*: .{10}")
