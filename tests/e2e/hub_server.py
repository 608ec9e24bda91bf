"""A Hub in a thread: the part of the Hugging Face Hub's protocol that downloads need, and the ways in which it goes wrong.

Two servers, because files in large storage come from another host: `hub` answers the API and the small files, `storage` has the
large ones. Everything that was asked is in `log`. Standard library only.
"""
import hashlib
import http.server
import json
import socket
import threading
import time
import urllib.parse

COMMITS = {"main": "a" * 40, "old": "b" * 40, "refs/pr/1": "c" * 40}


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def is_large(path):
    return path.endswith((".safetensors", ".bin", ".pt", ".onnx"))


def etag_of(path, content):
    return sha256(content) if is_large(path) else git_sha1(content)


class Repo:
    def __init__(self, files, commits=None):
        self.commits = dict(commits or {"main": COMMITS["main"]})  # revision -> commit
        self.trees = {commit: dict(files) for commit in self.commits.values()}  # commit -> path -> content
        self.token = None  # who sends none is refused
        self.gated = False

    def commit_of(self, revision):
        return self.commits.get(revision, revision if revision in self.trees else None)


class Asked:
    def __init__(self, server, handler):
        self.server = server  # "hub" or "storage"
        self.method = handler.command
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}

    def __repr__(self):
        return f"{self.server} {self.method} {self.path}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement
    cut_at = None  # of the next body

    def log_message(self, *arguments):
        pass

    def answer(self, status, headers=None, body=b""):
        self.send_response(status)
        headers = dict(headers or {})
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut, self.cut_at = self.cut_at, None
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None and cut < len(body):
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        asked = Asked(self.server.name, self)
        self.server.world.log.append(asked)
        try:
            for fault in list(self.server.world.faults):
                if fault(self, asked):
                    return
            self.handle_path(urllib.parse.urlsplit(self.path).path)
        except (BrokenPipeError, ConnectionResetError, ValueError, OSError):
            self.close_connection = True

    def handle_path(self, path):
        world = self.server.world
        if self.server.name == "storage":
            self.send_content(world.large[path.rsplit("/", 1)[1]])
            return
        if path.startswith("/api/models/"):
            repo, _, rest = path[len("/api/models/"):].partition("/revision/")
            kind = "revision"
            if not rest:
                repo, _, rest = path[len("/api/models/"):].partition("/tree/")
                kind = "tree"
            self.send_listing(urllib.parse.unquote(repo), urllib.parse.unquote(rest), kind)
            return
        repo, _, rest = path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        self.send_file(repo, urllib.parse.unquote(revision), urllib.parse.unquote(file))

    def refused(self, repo_name):
        """True: the refusal has been sent."""
        world = self.server.world
        repo = world.repos.get(repo_name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in world.tokens:
            self.answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif repo is None or (repo.token and token != repo.token and not repo.gated):
            self.answer(404 if token else 401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif repo.gated and token != repo.token and "/resolve/" in self.path:
            self.answer(403 if token else 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model is restricted."})
        else:
            return False
        return True

    def send_listing(self, repo_name, revision, kind):
        world = self.server.world
        if new_name := world.renamed.get(repo_name):
            self.answer(307, {"Location": self.path.replace(repo_name, new_name)})
            return
        if self.refused(repo_name):
            return
        repo = world.repos[repo_name]
        commit = repo.commit_of(revision)
        if commit is None:
            self.answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
            return
        files = repo.trees[commit]
        if kind == "tree":
            body = [
                {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
                | ({"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 134}} if is_large(path) else {})
                for path, content in files.items()
            ]
        else:
            siblings = []
            for path, content in files.items():
                item = {"rfilename": path}
                if "blobs=true" in self.path and world.tells_blobs:
                    item |= {"size": len(content), "blobId": git_sha1(content)}
                    if is_large(path):
                        item["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
                siblings.append(item)
            body = {"id": repo_name, "modelId": repo_name, "sha": commit, "siblings": siblings, "private": False, "tags": [],
                    "downloads": 0, "likes": 0}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def send_file(self, repo_name, revision, file):
        world = self.server.world
        if new_name := world.renamed.get(repo_name):
            self.answer(307, {"Location": self.path.replace(repo_name, new_name)})
            return
        if self.refused(repo_name):
            return
        repo = world.repos[repo_name]
        commit = repo.commit_of(revision)
        content = repo.trees.get(commit, {}).get(file)
        if content is None:
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit or ""})
            return
        headers = {"X-Repo-Commit": commit}
        if is_large(file):
            name = sha256(content)
            world.large[name] = content
            headers |= {"X-Linked-Etag": f'"{name}"', "X-Linked-Size": str(len(content)), "ETag": '"of the redirect"',
                        "Location": f"{world.storage_url}/signed/{name}"}
            self.answer(302, headers)
        else:
            self.send_content(content, headers | {"ETag": f'"{git_sha1(content)}"'})

    def send_content(self, content, headers=None):
        headers = dict(headers or {}) | {"Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range")
        if not wanted or self.server.world.ignores_range:
            self.answer(200, headers, content)
            return
        begin = int(wanted.removeprefix("bytes=").split("-")[0])
        if begin >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self.answer(206, headers, content[begin:])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that goes away is what is tested, not a reason to print."""


class World:
    """The Hub, its storage, and what is wrong with them today."""

    def __init__(self):
        self.repos, self.renamed, self.large = {}, {}, {}
        self.tokens = set()  # that exist
        self.log = []
        self.faults = []  # called with (handler, asked); True: it has dealt with the request
        self.ignores_range = False
        self.tells_blobs = True
        self.servers = [self.start("hub"), self.start("storage")]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)

    def start(self, name):
        server = Server(("127.0.0.1", 0), Handler)
        server.world, server.name = self, name
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def asked(self, server=None, method=None, part=""):
        return [a for a in self.log if server in (None, a.server) and method in (None, a.method) and part in a.path]

    # ---- faults -----------------------------------------------------------------------------------------------------

    def fail(self, part, status, times=1, headers=None, method=None):
        """The next `times` requests whose path has `part` are answered with this status."""
        left = [times]

        def fault(handler, asked):
            if part not in asked.path or left[0] <= 0 or method not in (None, asked.method):
                return False
            left[0] -= 1
            handler.answer(status, headers)
            return True

        self.faults.append(fault)

    def cut_after(self, part, size, times=1):
        """The connection breaks after `size` bytes of the body."""
        left = [times]

        def fault(handler, asked):
            if part not in asked.path or left[0] <= 0 or asked.method != "GET":
                return False
            left[0] -= 1
            handler.cut_at = size
            return False

        self.faults.append(fault)

    def stall(self, part, seconds):
        def fault(handler, asked):
            if part not in asked.path:
                return False
            time.sleep(seconds)
            return False

        self.faults.append(fault)
