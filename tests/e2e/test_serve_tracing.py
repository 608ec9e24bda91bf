#!/usr/bin/env python3
"""What `wde serve` sends to an OpenTelemetry collector, with collectors that listen, refuse, hang, or are not there.

Needs WDE_BINARY and WDE_TEST_DATA. Standard library only.
"""
import http.server
import json
import re
import socket
import subprocess
import threading
import time
import unittest

from serving import BINARY, MODEL, SLOW, Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


class Collector:
    """`statuses`: of the first answers; then 200. Keeps what it accepted."""

    def __init__(self, statuses=()):
        self.bodies, self.headers, self.statuses = [], [], list(statuses)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.statuses.pop(0) if outer.statuses else 200
                if status == 200:
                    outer.bodies.append((self.path, json.loads(body)))
                    outer.headers.append(self.headers)
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def spans(self):
        out = []
        for _, body in self.bodies:
            for resource in body["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    out += scope["spans"]
        return out

    def wait_for(self, count):
        deadline = time.monotonic() + 20 * SLOW
        while len(self.spans()) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.spans()


def attributes(thing):
    out = {}
    for pair in thing["attributes"]:
        (kind, value), = pair["value"].items()
        out[pair["key"]] = int(value) if kind == "intValue" else value
    return out


def counted(server, outcome):
    found = re.search(rf'wde_otlp_spans_total\{{outcome="{outcome}"\}} (\d+)', server.get("/metrics").body.decode())
    return int(found[1])


class Tracing(unittest.TestCase):
    def check_shape(self, span):
        self.assertRegex(span["traceId"], r"^[0-9a-f]{32}$")
        self.assertRegex(span["spanId"], r"^[0-9a-f]{16}$")
        if "parentSpanId" in span:
            self.assertRegex(span["parentSpanId"], r"^[0-9a-f]{16}$")
        for name in ["startTimeUnixNano", "endTimeUnixNano"]:
            self.assertIsInstance(span[name], str)
            self.assertRegex(span[name], r"^\d{19}$")
        self.assertLessEqual(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
        self.assertLess(abs(int(span["endTimeUnixNano"]) / 1e9 - time.time()), 60 * SLOW)

    def test_spans_of_a_request(self):
        environment = {**QUICK, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, x-other=c"}
        with Collector() as collector, Server(flags=["--otlp-endpoint", collector.url], env=environment) as server:
            answer = server.post("/tei/embed", {"inputs": ["some words", "b"]},
                                 {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"})
            self.assertEqual(answer.status, 200)
            spans = collector.wait_for(4)
            self.assertEqual(len(spans), 4)
            for span in spans:
                self.check_shape(span)
                self.assertEqual(span["traceId"], TRACE)
            self.assertEqual(len({span["spanId"] for span in spans}), 4)
            root = spans[0]
            self.assertEqual((root["name"], root["kind"], root["parentSpanId"]), ("POST /embed", 2, PARENT))
            self.assertEqual(root["status"], {})
            self.assertEqual(answer.headers["traceparent"], f"00-{TRACE}-{root['spanId']}-01")
            self.assertIn(root["spanId"], server.log())
            found = attributes(root)
            self.assertEqual(found["http.response.status_code"], 200)
            self.assertEqual((found["http.request.method"], found["url.path"]), ("POST", "/tei/embed"))
            self.assertEqual((found["wde.model"], found["wde.request_id"], found["wde.texts"]), ("bert-mean", "mine", 2))
            self.assertEqual(found["wde.tokens"], int(answer.headers["x-compute-tokens"]))
            self.assertEqual([span["name"] for span in spans[1:]], ["tokenize", "queue", "inference"])
            at = int(root["startTimeUnixNano"])
            for span in spans[1:]:
                self.assertEqual((span["parentSpanId"], span["kind"]), (root["spanId"], 1))
                self.assertLessEqual(at, int(span["startTimeUnixNano"]))
                at = int(span["startTimeUnixNano"])
                self.assertLessEqual(int(span["endTimeUnixNano"]), int(root["endTimeUnixNano"]))
            path, body = collector.bodies[0]
            self.assertEqual(path, "/v1/traces")
            self.assertEqual(attributes(body["resourceSpans"][0]["resource"])["service.name"], "wde")
            headers = collector.headers[0]
            self.assertEqual((headers["Content-Type"], headers["x-key"], headers["x-other"]), ("application/json", "a b", "c"))
            deadline = time.monotonic() + 10 * SLOW
            while counted(server, "sent") < 4 and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual((counted(server, "sent"), counted(server, "dropped")), (4, 0))

    def test_which_requests_are_traced(self):
        environment = {**QUICK, "OTEL_SERVICE_NAME": "named"}
        with Collector() as collector:
            environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url + "/"
            with Server(env=environment) as server:
                unsampled = f"00-{TRACE}-{PARENT}-00"
                answer = server.post("/embed", {"inputs": "a"}, {"traceparent": unsampled})
                self.assertEqual(answer.headers["traceparent"], unsampled)
                bad = ["junk", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01",
                       f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-0"]
                for header in bad:
                    self.assertEqual(server.post("/embed", {"inputs": "a"}, {"traceparent": header}).status, 200)
                self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
                later = f"cc-{TRACE}-{PARENT}-01-what-comes-later"
                self.assertEqual(server.post("/embed", {"inputs": "a"}, {"traceparent": later}).status, 200)
                self.assertEqual(server.post("/embed", {"inputs": []}).status, 400)
                server.get("/health")
            # Nothing was waited for: stopping sends what is left.
            roots = [span for span in collector.spans() if span["kind"] == 2]
            self.assertEqual(len(roots), len(bad) + 3)
            for span in roots[:len(bad) + 1] + roots[-1:]:
                self.assertNotIn("parentSpanId", span)
                self.assertNotEqual(span["traceId"], TRACE)
            self.assertEqual(len({span["traceId"] for span in roots}), len(roots))
            self.assertEqual((roots[-2]["traceId"], roots[-2]["parentSpanId"]), (TRACE, PARENT))
            refused = roots[-1]
            self.assertEqual((attributes(refused)["http.response.status_code"], refused["status"]), (400, {}))
            self.assertEqual(attributes(collector.bodies[0][1]["resourceSpans"][0]["resource"])["service.name"], "named")

    def test_a_collector_that_is_busy_gets_them_later(self):
        with Collector([503, 429]) as collector, Server(flags=["--otlp-endpoint", collector.url], env=QUICK) as server:
            server.post("/embed", {"inputs": "a"})
            self.assertEqual(len(collector.wait_for(4)), 4)
            self.assertEqual(counted(server, "dropped"), 0)
            self.assertIn("it answered with status 503", server.log())

    def test_a_collector_that_refuses(self):
        with Collector([400] * 100) as collector, Server(flags=["--otlp-endpoint", collector.url], env=QUICK) as server:
            server.post("/embed", {"inputs": "a"})
            deadline = time.monotonic() + 10 * SLOW
            while counted(server, "dropped") < 4 and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual((counted(server, "sent"), counted(server, "dropped")), (0, 4))

    def without_an_answer(self, url):
        environment = {**QUICK, "OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
        with Server(flags=["--otlp-endpoint", url], env=environment) as server:
            server.post("/embed", {"inputs": "a"})
            time.sleep(0.3)  # the first batch is on its way and will not arrive
            began = time.monotonic()
            for _ in range(40):
                self.assertEqual(server.post("/embed", {"inputs": "a"}).status, 200)
            self.assertLess(time.monotonic() - began, 5 * SLOW)
            # 8 wait; the first batch may have taken some of them.
            self.assertGreaterEqual(counted(server, "dropped"), 4 * (40 - 8 - 4))
            began = time.monotonic()
            server.stop()
            self.assertLess(time.monotonic() - began, 3 + 2 + 2 * SLOW)

    def test_a_collector_that_hangs(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.without_an_answer(f"http://127.0.0.1:{silent.getsockname()[1]}")

    def test_no_collector(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        self.without_an_answer(f"http://127.0.0.1:{port}")

    def test_wrong_settings(self):
        for flags, environment, said in [
            (["--otlp-endpoint", "localhost:4317"], {}, "http://"),
            (["--otlp-endpoint", "http://localhost:4318"], {"OTEL_EXPORTER_OTLP_HEADERS": "a=b%0d%0aHost: c"}, "OTEL_EXPORTER_OTLP_HEADERS"),
            ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost", "OTEL_BSP_MAX_QUEUE_SIZE": "x"}, "OTEL_BSP_MAX_QUEUE_SIZE"),
        ]:
            process = subprocess.run([BINARY, "serve", "--model", str(MODEL), "--port", "0", *flags], env=environment,
                                     capture_output=True, text=True, timeout=60 * SLOW)
            self.assertEqual(process.returncode, 2, process.stderr)
            self.assertIn(said, process.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
