#!/usr/bin/env python3
"""Who is let in to `wde serve`: keys, hosts, origins, media types; and the settings that would let in nobody, or everybody.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import os
import subprocess
import tempfile
import time
import unittest

from serving import BINARY, MODEL, SLOW, Case, Server

JSON = {"Content-Type": "application/json"}


def refused(*flags, env=None):
    """(exit status, what it said) of a server that is not to start."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WDE_")}
    environment.update(env or {})
    process = subprocess.run([BINARY, "serve", "--port", "0", "--model", str(MODEL), *flags], capture_output=True, text=True,
                             timeout=30 * SLOW, env=environment)
    return process.returncode, process.stderr


class Settings(unittest.TestCase):
    def test_values_that_would_make_a_server_useless(self):
        table = {
            "--max-length": ["0", "1", "2", "-1", "1.5", "999999"],
            "--max-connections": ["0", "-1", "1e3", "ten", ""],
            "--max-connections-per-address": ["-1"],
            "--payload-limit": ["0", "10", "99999999999999999999"],
            "--max-client-batch-size": ["0", "-5"],
            "--max-concurrent-requests": ["0"],
            "--max-queue-tokens": ["0"],
            "--max-queue-bytes": ["0"],
            "--max-buffered-bytes": ["0", "2000000"],  # less than a body may have
            "--request-timeout": ["-1", "nan", "inf", "0.0001", "1h"],
            "--header-timeout": ["0", "nan"],
            "--body-timeout": ["0", "-inf"],
            "--write-timeout": ["0"],
            "--idle-timeout": ["0"],
            "--drain-timeout": ["-1", "nan"],
            "--http-threads": ["0", "100000"],
            "--port": ["-1", "65536", "http"],
            "--host": ["", " "],
            "--unix-socket": ["", "x" * 200],
            "--served-model-name": ["", " "],
            "--cors-allow-origin": ["foo", "", "https://a.example/", "a.example", "https://", "https://A.example", "https://a b"],
            "--allowed-host": ["", "http://a", "a:80", "a/b"],
            "--access-log": ["yes"],
            "--auto-truncate": ["maybe"],
            "--token-input": [""],
            "--otlp-endpoint": ["localhost:4318", ""],
            "--float32-layers": ["atention", "99", ","],
            "--workers": ["0"],
            "--max-batch-tokens": ["0"],
            "--prompt-name": ["nosuch"],
        }
        for flag, values in table.items():
            for value in values:
                with self.subTest(flag, value=value):
                    more = ["--dtype", "bfloat16"] if flag == "--float32-layers" else []
                    status, said = refused(f"{flag}={value}", *more)
                    self.assertEqual(status, 2, said)
                    self.assertIn("nosuch" if flag == "--prompt-name" else flag, said)

    def test_secrets_that_are_empty_or_odd(self):
        with tempfile.TemporaryDirectory() as directory:
            def file(content):
                path = os.path.join(directory, "keys")
                with open(path, "wb") as out:
                    out.write(content)
                return path

            for name in ["api-key", "admin-key"]:
                variable = "WDE_" + name.upper().replace("-", "_")
                for value in ["", " ", "a b", " a", "a\n", "schlüssel"]:
                    with self.subTest(name, value=value):
                        status, said = refused(f"--{name}={value}")
                        self.assertEqual((status, name in said), (2, True), said)
                        status, said = refused(env={variable: value})
                        self.assertEqual((status, name in said or variable in said), (2, True), said)
                for content in [b"", b"\n\n", b"# only\n", b"\xef\xbb\xbf", b"\xff\xfea\0b\0", b"two words\n", b"\0\n"]:
                    with self.subTest(name, content=content):
                        status, said = refused(f"--{name}-file", file(content))
                        self.assertEqual((status, f"--{name}-file" in said), (2, True), said)
                for path in ["", directory, "/nonexistent"]:
                    self.assertEqual(refused(f"--{name}-file={path}")[0], 2, path)
                    self.assertEqual(refused(env={variable + "_FILE": path})[0], 2, path)
            for flags in [["--tls-cert="], ["--tls-key="], ["--tls-cert=", "--tls-key="], ["--tls-cert", file(b""), "--tls-key", file(b"")],
                          ["--tls-cert", file(b"x")], ["--tls-cert", directory, "--tls-key", directory]]:
                status, said = refused(*flags)
                self.assertEqual((status, "--tls-" in said), (2, True), said)
            self.assertEqual(refused(env={"WDE_TLS_CERT": "", "WDE_TLS_KEY": ""})[0], 2)
            # What Windows' editors write is a key all the same.
            with Server(flags=["--api-key-file", file(b"\xef\xbb\xbfone\r\ntwo\r\n")]) as server:
                for key, status in [("one", 200), ("two", 200), ("one\r", 401), ("three", 401)]:
                    self.assertEqual(server.get("/v1/models", {"X-API-Key": key.strip() if status == 200 else "x"}).status, status)


    def test_files_that_are_pipes_folders_or_devices(self):
        with tempfile.TemporaryDirectory() as directory:
            pipe, right = os.path.join(directory, "pipe"), os.path.join(directory, "right")
            os.mkfifo(pipe)
            with open(right, "w") as out:
                out.write("x")
            for path, found in [(pipe, "a pipe, socket or device"), ("/dev/zero", "a pipe, socket or device"), (directory, "a directory")]:
                for flags in [["--api-key-file"], ["--admin-key-file"], ["--tls-key", right, "--tls-cert"]]:
                    with self.subTest(flags=flags, path=path):
                        status, said = refused(*flags, path)
                        self.assertEqual(status, 2, said)
                        self.assertIn(f"{flags[-1]} {path}: expected a regular file, found {found}\n", said)
            os.truncate(right, 1 << 40)  # sparse
            for flags in [["--api-key-file"], ["--tls-key", right, "--tls-cert"]]:
                status, said = refused(*flags, right)
                self.assertEqual(status, 2, said)
                self.assertRegex(said, f"{flags[-1]} {right}: expected a file of at most [0-9]+ bytes, it has 1099511627776 bytes\n")

    def test_a_key_of_tls_that_is_a_pipe(self):
        with tempfile.TemporaryDirectory() as directory:
            cert, key, pipe = (os.path.join(directory, name) for name in ["cert", "key", "pipe"])
            os.mkfifo(pipe)
            try:
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                                "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=a"], check=True, capture_output=True)
            except FileNotFoundError:
                self.skipTest("no openssl program here")
            for path in [pipe, "/dev/zero"]:
                status, said = refused("--tls-cert", cert, "--tls-key", path)
                self.assertEqual(status, 2, said)
                self.assertIn(f"--tls-key {path}: expected a regular file, found a pipe, socket or device\n", said)


class Doors(Case):
    def setUp(self):
        self.server = Server(flags=["--cors-allow-origin", "https://good.example", "--allowed-host", "known.example"])
        self.addCleanup(self.server.stop)

    def status(self, headers, path="/embed", method="POST", body='{"inputs": "a"}'):
        return self.server.request(method, path, body, {**JSON, **headers}).status

    def test_hosts(self):
        port = self.server.port
        for host in [f"localhost:{port}", "localhost", "127.0.0.1", f"127.0.0.2:{port}", "[::1]", f"[::1]:{port}", "LOCALHOST",
                     "a.localhost", "known.example", "KNOWN.example:80", "192.168.1.5:8080"]:
            self.assertEqual(self.status({"Host": host}), 200, host)
        for host in ["attacker.example", f"attacker.example:{port}", "localhost.attacker.example", "127.0.0.1.nip.io",
                     "xlocalhost", "known.example.", "[attacker]", ":80"]:
            for method, path in [("POST", "/embed"), ("GET", "/v1/models"), ("GET", "/"), ("OPTIONS", "/embed"), ("GET", "/none")]:
                self.assertEqual(self.status({"Host": host}, path, method), 403, (host, method, path))
        answer = self.server.get("/v1/models", {"Host": "attacker.example"})
        self.assertIn("--allowed-host attacker.example", answer.json["error"]["message"])

    def test_pages_of_other_origins(self):
        own = f"http://localhost:{self.server.port}"
        host = {"Host": own[7:]}
        for headers in [{}, {"Origin": own, **host}, {"Origin": "https://good.example"}, {"Sec-Fetch-Site": "same-origin"},
                        {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "cross-site", "Origin": "https://good.example"},
                        {"Origin": "https://proxied.example", "Sec-Fetch-Site": "same-origin"},
                        {"Origin": "https://known.example", "Host": "known.example"}]:
            self.assertEqual(self.status(headers), 200, headers)
        for headers in [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:1", **host},
                        {"Origin": "https://good.example.evil.example"}, {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-site"}]:
            for path in ["/embed", "/models/unload", "/api/embed", "/weaviate/vectors", "/v1/embeddings"]:
                self.assertEqual(self.status(headers, path), 403, (headers, path))
        self.assertEqual(self.server.get("/v1/models").json["data"][0]["state"], "ready")  # none of them acted
        # A page may use what CORS lets it, but not what changes the server.
        self.assertEqual(self.status({"Origin": "https://good.example"}, "/models/unload", body='{"model":"bert-mean"}'), 403)


class Management(Case):
    def test_a_key_of_its_own(self):
        with Server(flags=["--api-key", "user", "--admin-key", "root"]) as server:
            def status(path, key, body):
                return server.post(path, body, {"Authorization": "Bearer " + key}).status

            self.assertEqual([status("/embed", key, {"inputs": "a"}) for key in ["user", "root", "none"]], [200, 200, 401])
            model = {"model": "bert-mean"}
            self.assertEqual([status("/models/unload", key, model) for key in ["user", "none"]], [401, 401])
            self.assertEqual(server.post("/models/unload", model).status, 401)
            self.assertEqual(server.get("/v1/models", {"X-API-Key": "user"}).json["data"][0]["state"], "ready")
            self.assertEqual(status("/models/unload", "root", model), 200)
            self.assertEqual(status("/models/load", "root", model), 200)

    def test_without_one_only_this_machine(self):
        model = {"model": "bert-mean"}
        with Server(flags=["--host", "0.0.0.0"]) as server:
            server.host = "127.0.0.1"
            answer = server.post("/models/unload", model)
            self.assertEqual(answer.status, 403)
            self.assertIn("--admin-key", answer.json["error"]["message"])
            # Names mean nothing there: who listens to all has any.
            self.assertEqual(server.post("/embed", {"inputs": "a"}, {"Host": "any.example"}).status, 200)
        with Server() as server:
            self.assertEqual(server.post("/models/unload", model).status, 200)


class Rereading(Case):
    def test_keys_and_certificates(self):
        with tempfile.TemporaryDirectory() as directory:
            def make(name):
                cert, key = os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key")
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                                "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name], check=True, capture_output=True)
                return cert, key

            try:
                (cert, key), others = make("one"), make("two")
            except FileNotFoundError:
                self.skipTest("no openssl program here")
            import signal
            import ssl

            keys = os.path.join(directory, "keys")
            with open(keys, "w") as out:
                out.write("old\n")
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

            def ask(api_key):
                """(the certificate, the status) as a new connection sees them."""
                with server.socket() as plain, context.wrap_socket(plain) as s:
                    certificate = s.getpeercert(binary_form=True)
                    s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: %s\r\n\r\n" % api_key)
                    return certificate, int(s.recv(12)[9:])

            def hang_up(says):
                before = server.log().count(says)
                server.process.send_signal(signal.SIGHUP)
                deadline = time.monotonic() + 10 * SLOW
                while server.log().count(says) == before:
                    self.assertLess(time.monotonic(), deadline, server.log())
                    time.sleep(0.01)

            server = Server(flags=["--tls-cert", cert, "--tls-key", key, "--api-key-file", keys], wait=False)
            try:
                first, status = ask(b"old")
                self.assertEqual((status, ask(b"new")[1]), (200, 401))
                with open(keys, "w") as out:
                    out.write("new\n")
                os.replace(others[0], cert), os.replace(others[1], key)
                hang_up("the keys have been read again")
                second, status = ask(b"new")
                self.assertEqual((status, ask(b"old")[1]), (200, 401))
                self.assertNotEqual(first, second)
                # What cannot be used changes nothing.
                for path in [keys, cert]:
                    with open(path, "w"):
                        pass
                hang_up("the certificate stays as it is")
                hang_up("the keys stay as they are")
                self.assertEqual(ask(b"new"), (second, 200))
            finally:
                server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
