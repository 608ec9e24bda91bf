#!/usr/bin/env python3
"""The files in deploy/ fit the program: what the image installs, which settings and metrics are named, and whether nginx, HAProxy and
systemd take their files (each where it is installed).

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from serving import BINARY, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
IN_EVERY_IMAGE = {"libc6", "libstdc++6", "libgcc-s1"}  # apt itself needs them


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def need(program):
    if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise unittest.SkipTest(f"no {program} here")
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


class Dockerfile(unittest.TestCase):
    def setUp(self):
        stages = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text()).split("\nFROM ")
        self.build, self.image = (set(re.search(r"--no-install-recommends ([^&]*)&&|$", stage)[1].split()) for stage in stages[-2:])

    def test_the_image_has_the_programs_libraries(self):
        if os.environ.get("WDE_SANITIZE"):
            self.skipTest("a sanitizer's libraries are in no image")
        need("dpkg-query"), need("readelf")
        wanted = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", BINARY))
        files = dict(re.findall(r"^\s*(\S+) => (\S+)", output("ldd", BINARY), re.MULTILINE))
        self.assertGreater(len(wanted), 5)
        for library in wanted:
            if library not in files:  # the loader
                continue
            file = os.path.realpath(files[library])
            owner = output("dpkg-query", "-S", file) or output("dpkg-query", "-S", file.removeprefix("/usr"))
            if not owner:
                self.skipTest(f"{file} is of no Debian package")
            self.assertIn(owner.split(":")[0], self.image | IN_EVERY_IMAGE, library)

    def test_it_builds_with_what_scripts_run_installs(self):
        packages = re.search(r"build_packages=\((.*?)\)", (ROOT / "scripts" / "lib.sh").read_text(), re.DOTALL)[1].split()
        self.assertLessEqual(set(packages), self.build)


class Names(unittest.TestCase):
    def test_settings(self):
        known = set(re.findall(r"WDE_[A-Z0-9_]+", output(BINARY, "serve", "--help")))
        for name in ("Dockerfile", "wde.env", "wde.service", "kubernetes.yaml"):
            named = set(re.findall(r"\bWDE_[A-Z0-9_]+", (DEPLOY / name).read_text()))
            self.assertTrue(named, name)
            self.assertLessEqual(named, known, name)

    def test_what_is_asked_of_the_server(self):
        with Server() as server:
            metrics = server.get("/metrics").body.decode()
            text = (DEPLOY / "kubernetes.yaml").read_text()
            for name in re.findall(r"metric: \{name: (\w+)\}", text):
                self.assertIn(f"# TYPE {name} gauge", metrics)
            probes = re.findall(r"httpGet: \{path: (\S+),", text) + re.findall(r"httpchk GET (\S+)", (DEPLOY / "haproxy.cfg").read_text())
            self.assertEqual(len(probes), 4)
            for path in probes:
                self.assertEqual(server.get(path).status, 200, path)


class Configurations(unittest.TestCase):
    def check(self, *command):
        process = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(process.returncode, 0, process.stderr + process.stdout)

    def test_nginx(self):
        with tempfile.TemporaryDirectory() as directory:
            self.check(need("nginx"), "-t", "-p", directory, "-e", "stderr", "-c", DEPLOY / "nginx.conf",
                       "-g", f"pid {directory}/pid; error_log stderr;")

    def test_haproxy(self):
        self.check(need("haproxy"), "-c", "-f", DEPLOY / "haproxy.cfg")

    def test_systemd(self):
        program = need("systemd-analyze")
        with tempfile.TemporaryDirectory() as directory:
            unit = pathlib.Path(directory, "wde.service")
            unit.write_text((DEPLOY / "wde.service").read_text().replace("/usr/local/bin/wde", os.path.realpath(BINARY)))
            self.check(program, "verify", "--man=no", unit)


if __name__ == "__main__":
    unittest.main(verbosity=2)
