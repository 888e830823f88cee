"""One byte stream to one peer: whole frames in, whole frames out."""

from __future__ import annotations

import os
import select
import socket
from _thread import allocate_lock
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from pydist._errors import ProcessExitedException
from pydist._protocol.frames import Frame, FrameParser, Loan
from pydist._runtime.buffers import allocate
from pydist._runtime.load import Load
from pydist._runtime.poller import READ, WRITE, Poller
from pydist._runtime.shield import LOOK, Shield, shield_of_this_thread
from pydist._runtime.slots import Slot

if TYPE_CHECKING:
    from pydist._runtime.mappings import Borrower
    from pydist._runtime.segments import Lender

__all__ = ["Connection"]

_DONTWAIT = socket.MSG_DONTWAIT
#: One receive. Objects of twice this size are mapped and unmapped by the system each time: that costs more than all the
#: rest.
_CHUNK = 64 * 1024
#: Room in the kernel for small messages: a full buffer costs a context switch.
_SOCKET_BUFFER = 1 << 20
#: How many pieces one sendmsg may take (IOV_MAX is 1024 everywhere that matters).
_MAX_PIECES = 512


class Connection:
    """A stream socket, the frames on it, and who waits for answers from it.

    Reading belongs to whoever holds `reading`. Writing is safe from any thread: `send` waits until the peer has taken
    everything (back-pressure), `post` never waits and leaves the rest to the reader.
    """

    def __init__(self, sock: socket.socket, pid: int, poller: Poller) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.pid = pid
        self.pending: dict[int, Slot] = {}
        #: How much of it lies there.
        self.load = Load(self.pending)
        self.reading = allocate_lock()
        self.closed = False
        #: Why the peer is gone, once that is known and its requests have failed.
        self.end: ProcessExitedException | None = None
        #: Not in the poller: somebody reads it directly, or did a moment ago. Changed only by who holds `reading`.
        self.parked = True
        self.last_read = 0.0
        #: Whoever sends a burst of requests reads their answers in between, see `Reader.nobody_waits`.
        self.in_burst = False
        #: How many of them have been held back since.
        self.held = 0
        self.hot = 0
        self.spin_misses = 0
        #: What was lent counts as if it had gone through the stream.
        self.bytes_in = 0
        self.bytes_out = 0
        self.last_heard = 0.0
        #: What the pickling room knows about this peer.
        self.knowledge: Any = None
        #: For large buffers, if the two have agreed on it: what we lend the peer, and how we see what it lends us.
        self.lender: Lender | None = None
        self.borrower: Borrower | None = None
        self._poller = poller
        self._parser = FrameParser(allocate, self._borrow)
        self._writing = allocate_lock()
        self._outbox: deque[memoryview] = deque()
        sock.setblocking(True)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)

    # ---- reading; the caller holds `reading`

    def receive(self) -> list[Frame] | None:
        """Read what is there; None if nothing is.

        Raises:
            EOFError: the peer is gone.
        """
        try:
            target = self._parser.target
            if target is None:
                data = self.sock.recv(_CHUNK, _DONTWAIT)
                if data:
                    self.bytes_in += len(data)
                    return self._parser.feed(data)
            else:
                n = self.sock.recv_into(target, 0, _DONTWAIT)
                if n:
                    self.bytes_in += n
                    return self._parser.filled(n)
        except BlockingIOError:
            return None
        except OSError as error:
            raise EOFError(str(error)) from None
        raise EOFError

    def _borrow(self, loan: Loan) -> object:
        if self.borrower is None:
            raise OSError("the peer lends memory to a process that has not agreed to open it")
        self.bytes_in += loan.size
        return self.borrower.borrow(loan)

    def watch(self) -> None:
        """Give the stream to the poller."""
        if self.parked and not self.closed:
            self.parked = self.in_burst = False
            self._poller.register(self.fd, READ | (WRITE if self._outbox else 0))

    def claim(self) -> None:
        """Take the stream out of the poller: the calling thread reads it itself."""
        if not self.parked:
            self.parked = True
            self._poller.unregister(self.fd)

    # ---- writing

    def send(self, data: bytes, buffers: Sequence[memoryview] = ()) -> None:
        """Write a frame and its buffers; return when the kernel or the peer has all of it.

        Raises:
            EOFError: the peer is gone.
            KeyboardInterrupt: if it came meanwhile; the frame goes out in full all the same.
        """
        shield = shield_of_this_thread()
        shield.raise_()
        try:
            with self._writing:
                if self._outbox or buffers:
                    # In one step: a frame that somebody posts between a header and its buffers would be taken for them.
                    self._outbox.extend([memoryview(data), *buffers])
                    if not self._drain():
                        self._drain_waiting(shield)
                else:
                    # The usual case in one system call.
                    try:
                        n = self.sock.send(data, _DONTWAIT)
                    except BlockingIOError:
                        n = 0
                    self.bytes_out += n
                    if n != len(data):
                        # The rest before all that somebody has posted meanwhile, and not in the middle of it.
                        self._outbox.appendleft(memoryview(data)[n:])
                        self._drain_waiting(shield)
            if self._outbox:
                self.flush_outbox()  # posted while we had the lock
        except OSError as error:
            # Nothing is closed here: what the peer has said before its end may wait to be read, and whoever reads it
            # finds the end behind.
            raise EOFError(str(error)) from None
        finally:
            shield.lower()

    def _drain_waiting(self, shield: Shield) -> None:
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        poll.register(shield.wake_fd(), select.POLLIN)
        while not self._drain():
            poll.poll(1000 * LOOK)
            # Not whether the wake-up is there: the server reads it, too.
            if shield.pending:
                # Interrupted: what is left must still go out, or the stream is broken. The caller may change its
                # arrays from now on, so it goes out as a copy, by the reader's hand. Others may be posting meanwhile.
                outbox = self._outbox
                outbox.appendleft(memoryview(b"".join([outbox.popleft() for _ in range(len(outbox))])))
                self._want_write()
                return

    @property
    def has_output(self) -> bool:
        """Something waits to be written."""
        return bool(self._outbox)

    def post(self, data: bytes) -> None:
        """Write a frame without ever waiting; from a reader's thread. A lost peer is somebody else's news."""
        self._outbox.append(memoryview(data))
        self.flush_outbox()

    def ask(self, data: bytes, buffers: Sequence[memoryview] = ()) -> None:
        """Write a request; in a burst of them it may be held back and sent together with the next ones.

        Raises:
            EOFError, KeyboardInterrupt: as `send` does.
        """
        if self.held and self.in_burst and not buffers and not self.closed:
            self._outbox.append(memoryview(data))
            self._flush_after_a_burst()
        else:
            self.send(data, buffers)

    def _flush_after_a_burst(self) -> None:
        if not self.in_burst:  # it has ended in this moment, and whoever ended it may not have seen what was held back
            self.flush_outbox()

    def hold(self, *data: bytes | memoryview) -> None:
        """Write a frame together with the next one; see `Reader.write_soon` if none is about to come."""
        self._outbox.extend(map(memoryview, data))

    def flush_outbox(self) -> None:
        """Write what waits, as far as it goes."""
        # Whoever has the lock empties the outbox; look again afterwards for what came in that moment.
        while self._outbox and self._writing.acquire(False):
            try:
                if not self._drain():
                    self._want_write()
                    return
            except OSError:
                self._outbox.clear()
                return
            finally:
                self._writing.release()
        if not self._outbox and not self.parked and not self.closed:
            self._modify(READ)

    def _want_write(self) -> None:
        if not self.closed:
            if self.parked:
                # The reader will see it when it watches the stream again; nobody does before, so watch it now.
                if self.reading.acquire(False):
                    try:
                        self.watch()
                    finally:
                        self.reading.release()
            else:
                self._modify(READ | WRITE)

    def _modify(self, events: int) -> None:
        try:
            self._poller.modify(self.fd, events)
        except (OSError, KeyError):
            return  # parked or closed in this moment: `watch` will say it again

    def _drain(self) -> bool:
        """Write the outbox as far as the kernel takes it; return whether it is empty. The caller holds `_writing`."""
        outbox = self._outbox
        while outbox:
            try:
                if len(outbox) == 1:
                    n = self.sock.send(outbox[0], _DONTWAIT)
                else:
                    n = self.sock.sendmsg([outbox[i] for i in range(min(len(outbox), _MAX_PIECES))], (), _DONTWAIT)
            except BlockingIOError:
                return False
            self.bytes_out += n
            while n:
                first = outbox[0]
                if n >= len(first):
                    n -= len(first)
                    outbox.popleft()
                else:
                    outbox[0] = first[n:]
                    n = 0
            while outbox and not len(outbox[0]):
                outbox.popleft()
        return True

    # ---- end

    def close(self) -> None:
        """Close the stream; the peer sees the end of it."""
        if self.closed:
            return
        self.closed = True
        if self.lender is not None:
            self.lender.close()
        if not self.parked:
            try:
                self._poller.unregister(self.fd)
            except (OSError, KeyError, ValueError):
                self.parked = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def touched(self) -> None:
        """Note that the peer is alive."""
        self.last_heard = self.last_read = monotonic()


def set_nodelay(sock: socket.socket) -> None:
    """Send small messages at once where the stream is TCP."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _temp_folder() -> str:
    import tempfile

    return tempfile.gettempdir()


def abstract_address(name: str) -> str:
    """Return a Unix socket address that leaves nothing on disk (Linux), or a path in the temp folder."""
    if hasattr(select, "epoll"):  # Linux
        return "\0pydist-" + name
    return os.path.join(_temp_folder(), f"pydist-{name}.sock")
