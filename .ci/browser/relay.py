"""A TCP relay between browser and page, whose connections can be broken or silent."""

import socket
import threading


class Relay:
    def __init__(self, target):
        host, port = target.split(":")
        self.target = (host, int(port))
        self.is_broken = False
        self.passes_bytes = threading.Event()
        self.passes_bytes.set()
        self.sockets = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/videos"

    def interrupt(self):
        """Breaks all connections, and closes each new one at once."""
        with self.lock:
            self.is_broken = True
            for end in self.sockets:
                end.close_both_ways()

    def silence(self):
        """Passes no more bytes, and leaves the connections open."""
        self.passes_bytes.clear()

    def restore(self):
        with self.lock:
            self.is_broken = False
        self.passes_bytes.set()

    def _accept(self):
        while True:
            browser = _End(self.listener.accept()[0])
            with self.lock:
                if self.is_broken:
                    browser.socket.close()
                    continue
                page = _End(socket.create_connection(self.target))
                self.sockets |= {browser, page}
            for source, sink in [(browser, page), (page, browser)]:
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        try:
            while data := source.socket.recv(65_536):
                self.passes_bytes.wait()
                sink.socket.sendall(data)
        except OSError:
            pass
        with self.lock:
            self.sockets -= {source, sink}
        for end in [source, sink]:
            end.close_both_ways()


class _End:
    def __init__(self, connection):
        self.socket = connection

    def close_both_ways(self):
        """Wakes the thread that reads from the socket."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
