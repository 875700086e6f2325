"""Starts `tally nsqd` as the clients' own tests do, by the name `nsqd` from the PATH, and simulates an auth
server and an nsqlookupd."""

import contextlib
import http.server
import json
import os
import re
import socketserver
import struct
import subprocess
import tempfile
import threading


@contextlib.contextmanager
def running(tally, *flags):
    """Yields the addresses of a broker, and its certificate: `tcp`, `http`, `certificate`."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(tally), os.path.join(folder, "nsqd"))
        certificate = os.path.join(folder, "certificate.pem")
        key = os.path.join(folder, "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True)
        environment = {**os.environ, "PATH": folder + os.pathsep + os.environ["PATH"]}
        # Popen searches its own PATH and not the child's, so `env` starts the program.
        broker = subprocess.Popen(
            ["env", "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0",
             "--https-address=127.0.0.1:0", "--broadcast-address=127.0.0.1",
             "--memory-only", "--snappy", "--deflate", f"--tls-key={key}", f"--tls-cert={certificate}", *flags],
            env=environment, stderr=subprocess.PIPE, text=True)
        try:
            found = {"certificate": certificate}
            for line in broker.stderr:
                listening = re.search(r"(TCP|HTTP|HTTPS): listening on (\S+)", line)
                if listening:
                    found[listening.group(1).lower()] = listening.group(2)
                if {"tcp", "http", "https"} <= found.keys():
                    break
            # An unread pipe would fill up.
            threading.Thread(target=broker.stderr.read, daemon=True).start()
            yield found
        finally:
            broker.terminate()
            status = broker.wait(timeout=10)
        assert status == 0, f"nsqd exited with {status}"


@contextlib.contextmanager
def auth_server(secret):
    """Yields the address of a server that grants all permissions for `secret`."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            allowed = f"secret={secret}" in self.path
            grant = {"topic": ".*", "channels": [".*"], "permissions": ["subscribe", "publish"]}
            answer(self, {"ttl": 60, "identity": "interop", "identity_url": "",
                          "authorizations": [grant]} if allowed else {}, 200 if allowed else 403)

        def log_message(self, *_):
            pass

    with served(http.server.ThreadingHTTPServer, Handler) as address:
        yield address


class Lookup:
    """The registrations by topic: the `IDENTIFY` of the nsqd that has it."""

    def __init__(self):
        self.topics = {}
        self.changed = threading.Condition()

    def change(self, body):
        with self.changed:
            body()
            self.changed.notify_all()

    def wait_for(self, topic):
        with self.changed:
            return self.changed.wait_for(lambda: self.topics.get(topic), timeout=20)


@contextlib.contextmanager
def lookupd():
    """Yields an nsqlookupd, with its `tcp` and `http` addresses and its registrations."""
    lookup = Lookup()

    class Registration(socketserver.StreamRequestHandler):
        def handle(self):
            assert self.rfile.read(4) == b"  V1"
            producer = None
            for line in self.rfile:
                words = line.decode().split()
                if words[0] == "IDENTIFY":
                    size, = struct.unpack(">l", self.rfile.read(4))
                    producer = json.loads(self.rfile.read(size))
                    # nsqd requests the channels at this port.
                    port = int(lookup.http.rpartition(":")[2])
                    self.respond(json.dumps({"broadcast_address": "127.0.0.1", "http_port": port}))
                    continue
                if words[0] in ("REGISTER", "UNREGISTER"):
                    lookup.change(lambda: self.register(words, producer))
                self.respond("OK")

        def register(self, words, producer):
            if words[0] == "REGISTER":
                lookup.topics.setdefault(words[1], producer)
            elif len(words) == 2:
                lookup.topics.pop(words[1], None)

        def respond(self, text):
            data = text.encode()
            self.wfile.write(struct.pack(">l", len(data)) + data)

    class Lookups(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            topic = self.path.partition("topic=")[2].partition("&")[0]
            producer = lookup.topics.get(topic)
            if self.path.startswith("/channels"):
                answer(self, {"channels": []})
            elif producer:
                answer(self, {"channels": [], "producers": [producer]})
            else:
                answer(self, {"message": "TOPIC_NOT_FOUND"}, 404)

        def log_message(self, *_):
            pass

    with served(http.server.ThreadingHTTPServer, Lookups) as lookup.http:
        with served(socketserver.ThreadingTCPServer, Registration) as lookup.tcp:
            yield lookup


@contextlib.contextmanager
def served(kind, handler):
    kind.daemon_threads = True
    kind.block_on_close = False
    with kind(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield "127.0.0.1:%d" % server.server_address[1]
        server.shutdown()


def answer(handler, value, status=200):
    body = json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("X-NSQ-Content-Type", "nsq; version=1.0")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
