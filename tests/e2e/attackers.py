"""What clients do to a server that should bear it: each is a function that takes a Server and a random.Random and does one
thing that once took unbounded memory or time. Standard library only."""
import base64
import functools
import json
import socket
import struct
import time
import zlib


def post(server, path, body, read=True, timeout=120, headers=b""):
    """The answer's status; 0 if the connection was closed, None if it was not read."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
    with socket.create_connection((server.host, server.port), timeout=timeout) as s:
        try:
            s.sendall(head % (path.encode(), headers, len(content)) + content)
        except OSError:
            pass  # refused before all of it was read
        if not read:
            return None
        answer, length = b"", 0
        while True:
            try:
                part = s.recv(1 << 16)
            except OSError:
                part = b""
            if not part:
                break
            length += len(part)
            if len(answer) < 64:
                answer += part
        return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@functools.cache
def blank_png(size):
    """A black picture of size x size pixels in a few hundred bytes a million."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" * (1 + (size + 7) // 8)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(row * size, 9)) + chunk(b"IEND", b""))


def data_url(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


# Each gives the status that came, or None where it did not wait for one.

def long_text_in_pieces(server, rng):
    """Megabytes without a blank, averaged over pieces; mostly gone before the answer."""
    body = json.dumps({"input": "统一码字符" * rng.randrange(1, 40_000), "long_input": "average"}, ensure_ascii=False).encode()
    if rng.random() < 0.5:
        return post(server, "/v1/embeddings", body)
    with socket.create_connection((server.host, server.port), timeout=60) as s:
        try:
            s.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            time.sleep(rng.choice([0, 0.1, 1]))
        except OSError:
            pass
    return None


def more_tokens_than_bytes(server, rng):
    return post(server, "/v1/embeddings", {"input": "ﷺ" * rng.randrange(1, 20_000), "long_input": "average"})


def many_hidden_rows(server, rng):
    return post(server, rng.choice(["/embed_all", "/pooling"]), {"inputs": ["word " * 260] * 2048, "input": ["word " * 260] * 2048})


def never_reads(server, rng):
    body = json.dumps({"input": ["a title"] * 2048}).encode()
    with socket.create_connection((server.host, server.port), timeout=60) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            s.sendall((b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body) * 3)
            time.sleep(rng.choice([1, 5]))
        except OSError:
            pass
    return None


def announces_bodies(server, rng):
    sockets = []
    try:
        for _ in range(17):
            s = socket.create_connection((server.host, server.port), timeout=10)
            sockets.append(s)
            s.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n{")
        time.sleep(rng.choice([1, 3]))
    except OSError:
        pass
    for s in sockets:
        s.close()
    return None


def sends_and_leaves(server, rng):
    return post(server, "/v1/embeddings", {"input": ["word " * 700] * 1000}, read=False)


def one_huge_text(server, rng):
    text = rng.choice(["word ", " ", "a", "中", "\u0301", "<mask>", "[MASK] ", "😀", "\u200b", "7"])
    path = rng.choice(["/tokenize", "/embed", "/v1/embeddings"])
    text *= 3_000_000 // len(text.encode())
    body = {"input" if path == "/v1/embeddings" else "inputs": text}
    return post(server, path, json.dumps(body, ensure_ascii=False).encode())


def many_pixels(server, rng):
    url = data_url(blank_png(8192))
    return post(server, "/v1/embeddings", {"model": "clip", "input": [{"image": url}] * rng.choice([1, 200])})


def one_prompt_for_all(server, rng):
    path, body = rng.choice([
        ("/embed", {"inputs": ["a"] * 2048, "prompt": "x" * 1_000_000}),
        ("/embed", {"inputs": ["a"] * 2048, "prompt": "x " * 500_000}),
        ("/tokenize", {"inputs": ["a"] * 2048, "prompt": "x" * 1_000_000}),
        ("/rerank", {"query": "x" * 1_000_000, "texts": ["a"] * 2048}),
        ("/embed", {"inputs": ["a"] * 2048, "prompt_name": "x" * 1_000_000}),
    ])
    return post(server, path, body)


def many_titles(server, rng):
    return post(server, "/v1/embeddings", {"input": [f"title {i}" for i in range(2048)]})


def own_deadline(server, rng):
    return post(server, "/v1/embeddings", {"input": ["word " * 300] * 1000}, headers=b"X-Request-Timeout-Ms: 86400000\r\n")


ALL = [long_text_in_pieces, more_tokens_than_bytes, many_hidden_rows, never_reads, announces_bodies, sends_and_leaves, one_huge_text,
       many_pixels, one_prompt_for_all, many_titles, own_deadline]
# What may come: an answer, a refusal by name, or no room now. Never 500, and nothing but a closed connection (0) for one too many.
FINE = {200, 400, 408, 413, 422, 424, 429, 503, 504, 0, None}
