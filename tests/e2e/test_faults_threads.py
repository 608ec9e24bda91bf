#!/usr/bin/env python3
"""Threads that cannot be started: whichever it is, the program says so and ends; nothing hangs or aborts.

Needs WDE_BINARY, WDE_TEST_DATA and WDE_BUILD_DIR. Standard library only.
"""
import os
import pwd
import resource
import subprocess
import unittest

import cli
import faults


def setUpModule():
    faults.require()


class Threads(cli.Case):
    def test_every_thread_of_a_command(self):
        # The engine's, the writer's and the workers' or the crew's.
        for executor, threads in (("data_parallel", 5), ("tensor_parallel", 5), ("pipeline_parallel", 4), ("async", 3)):
            with self.subTest(executor=executor):
                # A loader that cannot have a thread of its own reads on the calling one.
                seen = self.run_each("--executor", executor, "--workers", "3", expected=threads)
                if executor != "async":
                    self.assertTrue(any("--workers lowers their number" in words for words in seen), seen)

    def run_each(self, *flags, expected):
        seen = []
        arguments = ("embed", "--model", cli.MODEL, *flags, "a text")
        plain = cli.run(*arguments, stdin=None).stdout
        for number, done in faults.each_call("thread", lambda env: cli.run(*arguments, stdin=None, env=env)):
            with self.subTest(thread=number):
                if number == 1:  # the weights are read beside the tokenizer if there is a thread for it
                    self.assertEqual((done.returncode, done.stdout), (0, plain))
                    continue
                self.assertFailed(done, "cannot start", "Resource temporarily unavailable")
                self.assertEqual(done.stdout, b"")
                seen.append(done.stderr.decode())
        self.assertEqual(len(seen), expected, seen)
        return seen

    def test_every_thread_of_the_server(self):
        arguments = ("serve", "--model", cli.MODEL, "--port", "0", "--workers", "2", "--http-threads", "2")
        seen = []
        for number in range(1, 20):
            with faults.Faults(f"thread nth={number}") as struck:
                server = subprocess.Popen([cli.BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.PIPE, env=cli.environment(struck.environment))
                words = ""
                while (line := server.stderr.readline().decode()) and "ready: " not in line:
                    words += line
                server.terminate()
                words += server.communicate(timeout=cli.TIMEOUT)[1].decode()
                if not struck.struck():
                    self.assertEqual(server.returncode, 0, words)
                    break
                with self.subTest(thread=number):
                    if "cannot start" in words:
                        self.assertEqual(server.returncode, 1, words)
                        seen.append(words)
                    else:  # the loader's, which does without
                        self.assertEqual(server.returncode, 0, words)
        self.assertGreaterEqual(len(seen), 6, seen)
        self.assertTrue(any("--http-threads lowers their number" in words for words in seen), seen)

    def test_a_user_with_few_processes(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user, and the limit does not hold for root")
        nobody = pwd.getpwnam("nobody").pw_uid

        def become():
            resource.setrlimit(resource.RLIMIT_NPROC, (8, 8))
            os.setuid(nobody)

        try:
            subprocess.run([cli.BINARY, "--version"], preexec_fn=become, stdout=subprocess.DEVNULL, check=True)
        except PermissionError:
            self.skipTest("another user may not run the program where it is")
        for command in (["embed", "--workers", "16", "x"], ["serve", "--workers", "16", "--port", "0"]):
            done = subprocess.run([cli.BINARY, command[0], "--model", cli.MODEL, *command[1:]], preexec_fn=become, timeout=60,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment(), check=False)
            self.assertFailed(done, "cannot start 16 threads", "Resource temporarily unavailable", "--workers lowers")


if __name__ == "__main__":
    unittest.main(verbosity=2)
