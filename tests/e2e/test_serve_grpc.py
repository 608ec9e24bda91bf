#!/usr/bin/env python3
"""The gRPC door of `wde serve`, spoken to with curl's HTTP/2 and messages written by hand (tests/clients has grpcio for all of it). Without
wde_grpc.so (cmake -DWDE_GRPC=ON) only what is said of that is looked at.

Needs WDE_BINARY and WDE_TEST_DATA, and curl.
"""
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import unittest

from serving import BINARY, DATA, MODEL, TEXTS, Case, Server, embed_command, in_threads, unit

BUILT = (pathlib.Path(BINARY).resolve().parent / "../plugins/wde_grpc.so").exists()
CURL = "HTTP2" in subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout if BUILT else False


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number, value):
    """A message's field: text and messages with their length, numbers as they are."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields_of(message):
    """[(number, value)]: bytes for what has a length, else numbers."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            found.append((tag >> 3, number()))
        else:
            size = {2: number}.get(tag & 7, lambda: {5: 4, 1: 8}[tag & 7])()
            found.append((tag >> 3, message[at:at + size]))
            at += size
    return found


@unittest.skipUnless(BUILT and CURL, "there is no wde_grpc.so, or no curl that speaks HTTP/2")
class Grpc(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(MODEL, DATA / "bert-cross-encoder", flags=["--grpc-port", "0", "--api-key", "secret"])
        cls.address = re.search(r"gRPC on (\S+)", cls.server.log())[1]

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def call(self, method, *messages, key="secret", headers=()):
        """(status, its message, the answers)"""
        body = b"".join(b"\0" + struct.pack(">I", len(m)) + m for m in messages)
        command = ["curl", "-s", "--http2-prior-knowledge", "-H", "content-type: application/grpc", "-H", "te: trailers",
                   "--data-binary", "@-", f"http://{self.address}{method}"]
        for line in [*headers, *([f"authorization: Bearer {key}"] if key else [])]:
            command += ["-H", line]
        for _ in range(20):
            with tempfile.NamedTemporaryFile() as dump:
                done = subprocess.run([*command, "-D", dump.name], input=body, capture_output=True, timeout=60)
                lines = dict(line.split(": ", 1) for line in dump.read().decode().splitlines() if ": " in line)
            # A call that is refused at once may end before curl has sent all of it, which curl calls an error (92).
            if done.returncode != 92:
                break
        self.assertEqual(done.returncode, 0, done.stderr)
        answers, rest = [], done.stdout
        while rest:
            size = struct.unpack(">I", rest[1:5])[0]
            answers.append(rest[5:5 + size])
            rest = rest[5 + size:]
        self.lines = lines
        return int(lines["grpc-status"]), lines.get("grpc-message", ""), answers

    def vectors(self, answers):
        return [list(struct.unpack(f"<{len(a) // 4}f", a)) for a in (dict(fields_of(answer))[1] for answer in answers)]

    def test_embed_and_its_stream(self):
        expected = [unit(row["embedding"]) for row in embed_command(*TEXTS)]
        status, _, answers = self.call("/tei.v1.Embed/Embed", field(1, TEXTS[0]), headers=["x-request-id: mine"])
        self.assertEqual(status, 0)
        self.assertClose(self.vectors(answers)[0], expected[0])
        metadata = dict(fields_of(dict(fields_of(answers[0]))[2]))
        self.assertEqual(metadata[1], len(TEXTS[0]))
        self.assertEqual((self.lines["x-request-id"], int(self.lines["x-compute-tokens"])), ("mine", metadata[2]))
        many = TEXTS * 50
        status, _, answers = self.call("/tei.v1.Embed/EmbedStream", *[field(1, t) for t in many])
        self.assertEqual((status, len(answers)), (0, len(many)))
        for found, vector in zip(self.vectors(answers), expected * 50):
            self.assertClose(found, vector)
        # The first error ends it, and what came before it is answered.
        status, said, answers = self.call("/tei.v1.Embed/EmbedStream", field(1, "a"), field(1, "b"), b"", field(1, "c"))
        self.assertEqual((status, len(answers)), (3, 2))
        self.assertIn("empty", said)

    def test_rerank_by_message_and_by_stream(self):
        query, texts = "a cat", ["the cat sat", "a dog ran away", "nothing of the kind"]
        name = ["model: bert-cross-encoder"]
        body = {"model": "bert-cross-encoder", "query": query, "texts": texts}
        expected = self.assertStatus(self.server.post("/tei/rerank", body, {"Authorization": "Bearer secret"}), 200)
        whole = field(1, query) + b"".join(field(2, t) for t in texts)
        parts = [field(1, query) + field(2, t) for t in texts]
        for method, messages in [("/tei.v1.Rerank/Rerank", [whole]), ("/tei.v1.Rerank/RerankStream", parts)]:
            status, said, answers = self.call(method, *messages, headers=name)
            self.assertEqual((status, len(answers)), (0, 1), said)
            ranks = [dict(fields_of(value)) for number, value in fields_of(answers[0]) if number == 1]
            self.assertEqual([rank.get(1, 0) for rank in ranks], [e["index"] for e in expected])
            self.assertClose([struct.unpack("<f", rank[3])[0] for rank in ranks], [e["score"] for e in expected])

    def test_places_of_tokens_are_characters(self):
        text = "Größe 北京"
        status, _, answers = self.call("/tei.v1.Tokenize/Tokenize", field(1, text))
        self.assertEqual(status, 0)
        tokens = [dict(fields_of(value)) for _, value in fields_of(answers[0])]
        self.assertTrue(tokens)
        for token in tokens:
            self.assertEqual(text[token.get(4, 0):token[5]], token[2].decode())

    def test_statuses(self):
        for method, message, status, word in [
            ("/tei.v1.Embed/Embed", b"", 3, "inputs"),
            ("/tei.v1.Embed/Embed", b"\xff\xff", 3, "EmbedRequest"),
            ("/tei.v1.Embed/Embed", field(1, "word " * 5000), 3, ""),
            ("/tei.v1.Embed/Embed", field(1, "a") + field(6, 100000), 3, "dimensions"),
            ("/tei.v1.Embed/Embed", field(1, "a") + field(5, "none"), 3, "prompt_name"),
            ("/tei.v1.Embed/EmbedSparse", field(1, "a"), 9, "sparse"),
            ("/tei.v1.Embed/Nothing", b"", 12, "Nothing"),
            ("/v1/embeddings", b"", 12, "embeddings"),
        ]:
            found, said, _ = self.call(method, message)
            self.assertEqual(found, status, (method, said))
            self.assertIn(word, said)
        self.assertEqual(self.call("/tei.v1.Embed/Embed", field(1, "a"), key="other")[0], 16)
        self.assertEqual(self.call("/tei.v1.Info/Info", b"", key=None)[0], 16)
        self.assertEqual(self.call("/tei.v1.Embed/Embed", field(1, "a"), headers=["model: none"])[0], 5)
        self.assertEqual(self.call("/tei.v1.Embed/Embed", field(1, "word " * 5000) + field(2, 1))[0], 0)
        self.assertEqual(self.call("/tei.v1.Embed/Embed")[0], 3)  # no message at all
        # Over HTTP there is no such route.
        self.assertStatus(self.server.post("/tei.v1.Embed/Embed", {}, {"Authorization": "Bearer secret"}), 404)

    def test_fields_that_nobody_reads_are_named(self):
        more = field(1, "a") + field(15, 1) + field(16, "x")
        for method, messages, name in [
            ("/tei.v1.Embed/Embed", [more], "EmbedRequest"),
            ("/tei.v1.Embed/EmbedStream", [field(1, "a"), more, more], "EmbedRequest"),
            ("/tei.v1.Tokenize/Tokenize", [more], "EncodeRequest"),
            ("/tei.v1.Rerank/Rerank", [field(1, "q") + field(2, "a") + field(15, 1)], "RerankRequest"),
            ("/tei.v1.Rerank/RerankStream", [field(1, "q") + field(2, "a"), field(1, "q") + field(2, "b") + field(15, 1)], "RerankStreamRequest"),
        ]:
            status, said, answers = self.call(method, *messages)
            self.assertEqual((status, self.lines.get("x-warning")), (0, f"without effect here: field 15 of tei.v1.{name}"), said)
        self.call("/tei.v1.Embed/Embed", field(1, "a"))
        self.assertNotIn("x-warning", self.lines)

    def test_info_health_and_metrics(self):
        status, _, answers = self.call("/tei.v1.Info/Info", b"")
        info = dict(fields_of(answers[0]))
        self.assertEqual((status, info[6], info[12]), (0, b"float32", 2048))
        self.assertEqual(self.call("/grpc.health.v1.Health/Check", b"", key=None)[2], [b"\x08\x01"])
        self.assertEqual(self.call("/grpc.health.v1.Health/Check", field(1, "other"), key=None)[0], 5)
        self.assertIn("/tei.v1.Embed/Embed", self.server.get("/metrics").body.decode() + self.server.log())

    def test_many_at_once(self):
        expected = unit(embed_command(TEXTS[0])[0]["embedding"])

        def run(_):
            case = Grpc("call")
            return case.vectors(case.call("/tei.v1.Embed/EmbedStream", *[field(1, TEXTS[0])] * 40)[2])

        for found in in_threads(8, run):
            self.assertEqual(len(found), 40)
            self.assertClose(found[-1], expected)


@unittest.skipUnless(BUILT and shutil.which("openssl"), "there is no wde_grpc.so, or no openssl program")
class Certificate(Case):
    def test_sighup_reads_it_again(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name in ["one", "two"]:
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                                folder / f"{name}.key", "-out", folder / f"{name}.pem", "-days", "2", "-subj", f"/CN={name}"],
                               check=True, capture_output=True)
            one, two = (ssl.PEM_cert_to_DER_cert((folder / f"{name}.pem").read_text()) for name in ["one", "two"])
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])

            def shown(port):
                with socket.create_connection(("127.0.0.1", port), 30) as plain, context.wrap_socket(plain) as s:
                    return s.getpeercert(binary_form=True)

            def hang_up(says):
                server.process.send_signal(signal.SIGHUP)
                self.assertIn(says, server.log_with(says))

            cert, key = folder / "one.pem", folder / "one.key"
            server = Server(flags=["--tls-cert", cert, "--tls-key", key, "--grpc-port", "0"], wait=False)
            try:
                port = int(re.search(r"gRPC on \S+:(\d+)", server.log_with("gRPC on"))[1])
                self.assertEqual([shown(port), shown(server.port)], [one, one])
                (folder / "two.pem").replace(cert), (folder / "two.key").replace(key)
                self.assertEqual(shown(port), one)
                hang_up("the certificate has been read again")
                self.assertEqual([shown(port), shown(server.port)], [two, two])
                cert.write_text("")
                hang_up("the certificate stays as it is")
                self.assertEqual([shown(port), shown(server.port)], [two, two])
            finally:
                server.stop()


class Without(Case):
    def test_ports_that_cannot_be(self):
        for port, word in [("70000", "65535"), ("-5", "65535"), ("x", "grpc-port")]:
            done = subprocess.run([BINARY, "serve", "--model", str(MODEL), "--port", "0", "--grpc-port", port],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(word, done.stderr)

    def test_it_says_what_is_missing_or_in_the_way(self):
        with Server() as other:
            done = subprocess.run([BINARY, "serve", "--model", str(MODEL), "--port", "0", "--grpc-port", str(other.port)],
                                  capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("cannot listen" if BUILT else "WDE_GRPC=ON", done.stderr)


if __name__ == "__main__":
    unittest.main()
