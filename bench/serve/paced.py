"""Requests at a fixed rate over all connections, from one process, so that the load takes as little as it can of the cores that
the server is measured on. Standard library only.

A request's time begins when it was due. Where a connection was free and this process alone was late (a timer of a millisecond, its
own work), it begins when it was sent: the server is not to blame for that.
"""
import collections
import re
import selectors
import socket
import time
import urllib.parse

END = b"\r\n\r\n"
TRY_AGAIN = (429, 503)
PATIENCE = 120  # seconds


class Connection:
    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.at, self.begin, self.received = 0, 0.0, b""

    def send(self, at, request, begin):
        self.at, self.begin, self.received = at, begin, b""
        self.socket.sendall(request)

    def answer(self):
        """Reads what is there; the status and the body once it is whole, else None."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise SystemExit("the server closed a connection")
        self.received += part
        head, found, body = self.received.partition(END)
        if not found:
            return None
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not length:
            raise SystemExit("an answer has no Content-Length")
        return (int(head.split(b" ", 2)[1]), body) if len(body) >= int(length[1]) else None


def run(options, path, bodies, texts_each, check):
    """{"texts", "seconds", "times" (sorted, of the requests that were answered), "statuses"}; `check(at, body)` sees each answer."""
    url = urllib.parse.urlparse(options.url)
    head = f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body.encode())}\r\n\r\n{body}".encode() for body in bodies]
    total = int(options.rate * options.seconds) if options.seconds else len(requests)
    selector = selectors.DefaultSelector()
    free = collections.deque(Connection((url.hostname, url.port)) for _ in range(options.connections))
    for connection in free:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    times, statuses, texts, sent, done, had_free = [], collections.Counter(), 0, 0, 0, True
    start = time.monotonic()
    while done < total:
        now = time.monotonic()
        while sent < total and free and start + sent / options.rate <= now:
            due, at = start + sent / options.rate, sent % len(requests)
            connection = free.popleft()
            connection.send(at, requests[at], time.monotonic() if had_free else due)
            sent += 1
        had_free = bool(free)
        wait = max(0, start + sent / options.rate - time.monotonic()) if sent < total and free else PATIENCE
        ready = selector.select(wait)
        if not ready and wait == PATIENCE:
            raise SystemExit(f"no answer in {PATIENCE} s")
        for key, _ in ready:
            connection = key.data
            answer = connection.answer()
            if answer is None:
                continue
            done += 1
            statuses[answer[0]] += 1
            if answer[0] == 200:
                times.append(time.monotonic() - connection.begin)
                texts += texts_each[connection.at]
                check(connection.at, answer[1])
            elif answer[0] not in TRY_AGAIN:
                print(f"{answer[0]}: {answer[1][:200]!r}")
            free.append(connection)
    for connection in free:
        connection.socket.close()
    return {"texts": texts, "seconds": time.monotonic() - start, "times": sorted(times), "statuses": dict(statuses)}
