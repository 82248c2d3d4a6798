"""The HTTP front: threads, keep-alive, and connections broken on purpose."""

import select
import socket
import struct
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .errors import LabError, render
from .lab import DROP, HANG
from .wire import Wire

BODY_LIMIT = 256 * 1024 * 1024


class Server(ThreadingHTTPServer):
    """A loopback server that can also reset a connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, port, handler, lab):
        self.lab = lab
        self.stopping = threading.Event()
        self.broken = set()
        super().__init__(("127.0.0.1", port), handler)

    def handle_error(self, request, client_address):
        """A client that went away is no event."""

    def shutdown_request(self, request):
        """Without the polite half-close when the drill wants a reset."""
        if id(request) in self.broken:
            self.broken.discard(id(request))
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def start(self):
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self):
        self.stopping.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """What the AWS, admin and health endpoints share."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 300

    def log_message(self, format, *args):
        """The calls log is the log."""

    def handle_expect_100(self):
        """Flushed at once: a client waits a second for it otherwise."""
        good = super().handle_expect_100()
        self.wfile.flush()
        return good

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self.chunks()
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            raise ValueError("a body beyond the lab's limit")
        return self.rfile.read(length) if length else b""

    def chunks(self):
        parts = []
        while True:
            size = int(self.rfile.readline().split(b";")[0].strip() or b"0", 16)
            if size == 0:
                while self.rfile.readline().strip():
                    pass
                return b"".join(parts)
            parts.append(self.rfile.read(size))
            self.rfile.readline()

    def reply(self, status, headers, body):
        self.send_response_only(status)
        given = {name.lower() for name in headers}
        for name, value in headers.items():
            if name.lower() not in ("content-length", "status", "connection", "transfer-encoding"):
                self.send_header(name, value)
        if "date" not in given:
            self.send_header("Date", self.date_time_string())
        if self.command == "HEAD" and "content-length" in given:
            length = next(v for k, v in headers.items() if k.lower() == "content-length")
            self.send_header("Content-Length", length)
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)
        self.wfile.flush()

    def hang(self):
        """Says nothing until the client gives up."""
        self.close_connection = True
        while not self.server.stopping.is_set():
            ready, _, _ = select.select([self.connection], [], [], 0.25)
            if ready:
                try:
                    if not self.connection.recv(4096):
                        return
                except OSError:
                    return

    def drop(self):
        """Ends the connection with a reset."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.server.broken.add(id(self.request))


class AwsHandler(Handler):
    """Every service on one port."""

    def answer(self):
        wire = Wire(self.command, self.path, self.headers.items(), self.body())
        try:
            result = self.server.lab.answer(wire)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            bug = LabError("LabBug", f"the lab itself failed: {error!r}", 500)
            result = render(bug, wire.service or "s3", "json" if "x-amz-target" in wire.headers else "query")
        if result == HANG:
            self.hang()
        elif result == DROP:
            self.drop()
        else:
            self.reply(*result)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = answer
