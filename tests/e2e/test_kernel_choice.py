#!/usr/bin/env python3
"""Kernels that an environment variable names: used, told by `wde doctor`, and refused where the CPU does not have them.

Needs WDE_BINARY (the built program) and WDE_TEST_DATA (a directory of checkpoints: bert-mean, ...). Standard library only.
"""
import json
import re
import unittest

from cli import Case, run, wde


def machine(**env):
    return json.loads(run("doctor", "--json", env=env).stdout)["machine"]


class KernelChoice(Case):
    def vector(self, dtype, **env):
        process = wde("embed", "--dtype", dtype, "a text of some words", env=env)
        self.assertDone(process)
        return json.loads(process.stdout)["embedding"]

    def test_every_bfloat16_kernel_is_told_and_answers_alike(self):
        kernels = re.search(r"this CPU runs ([^;]*);", machine()["bfloat16 kernels"])[1].split(", ")
        self.assertIn("FLOAT32", kernels)
        vectors = {}
        for kernel in kernels:
            told = machine(WDE_BFLOAT16_KERNEL=kernel)["bfloat16 kernels"]
            self.assertTrue(told.startswith(kernel + ","), told)
            self.assertIn("WDE_BFLOAT16_KERNEL asks for it", told)
            vectors[kernel] = self.vector("bfloat16", WDE_BFLOAT16_KERNEL=kernel)
        for vector in vectors.values():
            self.assertGreater(sum(a * b for a, b in zip(vector, vectors["FLOAT32"])), 0.999)

    def test_every_int8_kernel_is_told_and_answers_alike(self):
        kernels = re.search(r"this CPU runs ([^)]*)\)", machine()["int8 kernels"])[1].split(", ")
        vectors = []
        for kernel in kernels:
            self.assertTrue(machine(WDE_INT8_KERNEL=kernel)["int8 kernels"].startswith(kernel + " "))
            vectors.append(self.vector("int8", WDE_INT8_KERNEL=kernel, WDE_BFLOAT16_KERNEL="FLOAT32"))
        for vector in vectors:
            # The integer sums are equal, what is float32 around them is rounded by the instruction set.
            self.assertLess(max(abs(a - b) for a, b in zip(vector, vectors[0])), 1e-5)

    def test_a_kernel_that_does_not_run_here_is_refused(self):
        for variable in ("WDE_BFLOAT16_KERNEL", "WDE_INT8_KERNEL"):
            for process in (wde("embed", "a text", env={variable: "AVX1024"}), run("doctor", env={variable: "AVX1024"})):
                self.assertEqual(process.returncode, 2)
                self.assertIn(f"{variable} is 'AVX1024': expected a kernel that this CPU runs, one of", process.stderr.decode())


if __name__ == "__main__":
    unittest.main()
