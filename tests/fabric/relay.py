"""A TCP relay that can stop forwarding without a word, as a link does that was cut."""

import selectors
import socket
import threading

_CHUNK_BYTES = 65536


class Relay:
    """Forwards connections to a port of this machine. While it is cut it reads, forwards and accepts nothing, and closes nothing."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._open = threading.Event()
        self._open.set()
        self._going = True
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def cut(self) -> None:
        """Stop forwarding."""
        self._open.clear()
        self._wake.send(b".")

    def heal(self) -> None:
        """Go on."""
        self._open.set()

    def close(self) -> None:
        self._going = False
        self._open.set()
        self._wake.send(b".")
        self._thread.join()
        for end in (self._listener, self._wake, self._woken, *self._others):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while self._going:
            self._open.wait()
            for key, _ in self._selector.select():
                if not self._open.is_set():
                    break
                end = key.fileobj
                if end is self._woken:
                    self._woken.recv(16)
                elif end is self._listener:
                    self._accept()
                else:
                    assert isinstance(end, socket.socket)
                    self._forward(end)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._to_port), timeout=5)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            self._others[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, end: socket.socket) -> None:
        if end not in self._others:
            return
        other = self._others[end]
        try:
            data = end.recv(_CHUNK_BYTES)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for gone in (end, other):
            self._selector.unregister(gone)
            del self._others[gone]
            gone.close()
