"""A proxy between clients and one Kafka broker that loses, holds and delays what a test names.

The broker advertises its listener `PROXIED` as the proxy's port, so a client that enters here is
never told a way round. A frame is a request (api key, version, correlation id) or the reply to one;
rules pick frames by kind and API and say what becomes of them. Every rule tells when it has fired:
tests wait for facts. README.md lists what a rule can do.

One thread a direction of a connection; what is held lives apart from its connection, which goes on,
so a held request may be delivered long after its client is gone: as a late packet is. Plain TCP
only. Protocol: kafka.apache.org/protocol.
"""
import collections
import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.support.harness import WAIT_S

APIS = {"Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetFetch": 9,
        "FindCoordinator": 10, "ApiVersions": 18, "InitProducerId": 22, "AddPartitionsToTxn": 24,
        "AddOffsetsToTxn": 25, "EndTxn": 26, "TxnOffsetCommit": 28}
NAMES = {key: name for name, key in APIS.items()}
REQUEST, REPLY = "request", "reply"
HOLD, LOSE, HOLD_AND_CUT, NOTE = "hold", "lose", "hold and cut", "note"
CHANGE = "change"
TO_BROKER, TO_CLIENT = "to the broker", "to the client"

FRAME_BYTES_MAX = 256 << 20
STORY_LINES_MAX = 5000
RATE_PIECES_S = 100  # A limited rate is carried in this many pieces a second.


class Frame:
    """One request or reply. body: the frame without its size; request: of a reply, what it
    answers."""

    def __init__(self, kind, link, body, request=None):
        self.kind = kind
        self.link = link
        self.body = body
        self.request = request
        if kind == REQUEST:
            self.key, self.version, self.correlation = struct.unpack_from(">hhi", body)
        else:
            self.key, self.version = request.key, request.version
            self.correlation = request.correlation

    @property
    def api(self):
        return NAMES.get(self.key, f"api {self.key}")

    def __str__(self):
        return f"{self.api} {self.kind} {self.correlation} of connection {self.link.number}"


class Rule:
    """What becomes of frames. Made by Proxy.rule(); `frames` are those that met it, in order."""

    def __init__(self, proxy, kind, api, action, nth, times, where, then, change):
        self.proxy = proxy
        self.kind = kind
        self.key = APIS[api]
        self.name = f"{action} {api} {kind}"
        self.action = action
        self.nth = nth
        self.times = times
        self.where = where
        self.then = then
        self.change = change
        self.seen = 0
        self.frames = []

    def takes(self, frame):
        """Whether the frame meets the rule; called under the proxy's lock."""
        if frame.kind != self.kind or frame.key != self.key or len(self.frames) == self.times or (
                self.where is not None and not self.where(frame)):
            return False
        self.seen += 1
        if self.seen < self.nth:
            return False
        self.frames.append(frame)
        if self.then is not None:
            self.then()
        if self.action == CHANGE:
            frame.body = self.change(frame)
        return True

    def wait(self, count=1, limit_s=WAIT_S):
        """The count-th frame that met the rule; fails by name at the deadline."""
        with self.proxy.changed:
            if not self.proxy.changed.wait_for(lambda: len(self.frames) >= count, limit_s):
                raise AssertionError(f"the proxy saw nothing to {self.name} ({self.seen} seen, "
                                     f"{len(self.frames)} met) within {limit_s} s; the last it "
                                     f"saw:\n{self.proxy.told(60)}")
            return self.frames[count - 1]

    def release(self, index=0):
        """Delivers a held frame. A request goes to the broker over a connection of its own, and
        its reply, which is returned, to the client if it is still there; a held reply goes to
        the client."""
        assert self.action in (HOLD, HOLD_AND_CUT), f"nothing is held by '{self.name}'"
        return self.proxy.deliver(self.frames[index])

    def lose(self, reaches_broker):
        """What is held is lost after all, and the connection cut, once nothing else is under way
        on it: the request, or, if it still reaches the broker, the reply."""
        frame = self.frames[0]
        with self.proxy.changed:
            if not self.proxy.changed.wait_for(lambda: len(frame.link.pending) == 1, WAIT_S):
                raise AssertionError(f"{frame} is not alone on its connection:\n"
                                     f"{self.proxy.told(60)}")
        if reaches_broker:
            self.proxy.exchange(frame)
        frame.link.cut()

    def remove(self):
        """From now on the rule takes nothing; what it holds stays held."""
        with self.proxy.changed:
            if self in self.proxy.rules:
                self.proxy.rules.remove(self)


class Link:
    """A client's connection and the one to the broker that stands for it."""

    def __init__(self, proxy, number, client):
        self.proxy = proxy
        self.number = number
        self.client = client
        self.broker = proxy.connect()
        self.pending = {}
        self.write_lock = threading.Lock()  # The client's end is also written by releases.
        for pump in (self._pump_requests, self._pump_replies):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def cut(self):
        """Both ends at once, as a reset network does."""
        for end in (self.client, self.broker):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It was closed by its peer.

    def send_client(self, body):
        """A late reply; false if the client is gone."""
        try:
            with self.write_lock:
                self.proxy.carry(TO_CLIENT, self.client, body)
            return True
        except OSError:
            return False

    def _run(self, pump):
        try:
            pump()
        except (OSError, EOFError):
            pass
        finally:
            self.cut()
            self.proxy.forget(self)

    def _pump_requests(self):
        while True:
            frame = Frame(REQUEST, self, read_frame(self.client))
            with self.proxy.changed:
                self.pending[frame.correlation] = frame
            if self.proxy.passes(frame):
                self.proxy.carry(TO_BROKER, self.broker, frame.body)

    def _pump_replies(self):
        while True:
            body = read_frame(self.broker)
            correlation = struct.unpack_from(">i", body)[0]
            with self.proxy.changed:
                request = self.pending.pop(correlation)
            frame = Frame(REPLY, self, body, request)
            if self.proxy.passes(frame):
                with self.write_lock:
                    self.proxy.carry(TO_CLIENT, self.client, frame.body)


class Proxy:
    """Listens at `port` from the moment it is made; carries once open() has named the broker."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.upstream = None
        self.changed = threading.Condition()
        self.rules = []
        self.links = set()
        self.stalled = set()
        self.rates = {}
        self.free_at = {TO_BROKER: 0, TO_CLIENT: 0}
        self.story = collections.deque(maxlen=STORY_LINES_MAX)
        self.began = time.monotonic()

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def open(self, broker_port):
        self.upstream = ("127.0.0.1", broker_port)
        threading.Thread(target=self._accept, daemon=True).start()

    def connect(self):
        end = socket.create_connection(self.upstream)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return end

    # What a test asks for

    def rule(self, kind, api, action, nth=1, times=1, where=None, then=None, change=None):
        """From now on the nth, nth + 1, ... (`times` in all; None: every one) of these frames meet
        the action. where: a function of the frame that must hold; then: is called before the frame
        goes on; change: of CHANGE, a function of the frame: the body it goes on with. The first
        rule that takes a frame decides; notes decide nothing."""
        made = Rule(self, kind, api, action, nth, times, where, then, change)
        with self.changed:
            self.rules.append(made)
        return made

    def stall(self, *directions):
        """Carries nothing in these directions, or in both, until heal(). Connections stay open."""
        with self.changed:
            self.stalled = set(directions or (TO_BROKER, TO_CLIENT))
            self._tell(f"stalled: {', '.join(sorted(self.stalled))}")

    def heal(self):
        with self.changed:
            self.stalled = set()
            self._tell("healed")
            self.changed.notify_all()

    def limit(self, bytes_per_s):
        """Each direction carries no more than this, over all connections; None: no limit."""
        with self.changed:
            self.rates = dict.fromkeys((TO_BROKER, TO_CLIENT), bytes_per_s)

    def cut(self):
        """Ends every connection that stands now."""
        with self.changed:
            links = list(self.links)
        for link in links:
            link.cut()

    def reset(self):
        """No rule, nothing stalled, no limit, no connection: as new."""
        with self.changed:
            self.rules, self.rates = [], {}
        self.heal()
        self.cut()

    def told(self, lines=STORY_LINES_MAX):
        with self.changed:
            return "".join(f"  {line}\n" for line in list(self.story)[-lines:])

    # What connections ask for

    def passes(self, frame):
        """Whether the frame goes on its way; waits while its direction is stalled."""
        way = TO_BROKER if frame.kind == REQUEST else TO_CLIENT
        with self.changed:
            taken = None
            for rule in self.rules:
                if (taken is None or rule.action == NOTE) and rule.takes(frame):
                    taken = rule if rule.action != NOTE else taken
            if frame.api != "Fetch" or taken is not None:
                self._tell(f"{frame}: {taken.action if taken else 'passed'}")
            self.changed.notify_all()
            goes_on = taken is None or taken.action == CHANGE
            if goes_on:
                self.changed.wait_for(lambda: way not in self.stalled)
        if not goes_on and taken.action in (LOSE, HOLD_AND_CUT):
            frame.link.cut()
        return goes_on

    def deliver(self, frame):
        """A held frame, late. Returns the reply of a request."""
        if frame.kind == REPLY:
            frame.link.send_client(frame.body)
            return frame
        reply = self.exchange(frame)
        is_there = frame.link.send_client(reply.body)
        with self.changed:
            frame.link.pending.pop(frame.correlation, None)
            self._tell(f"{frame}: delivered late; the client is {'there' if is_there else 'gone'}")
        return reply

    def exchange(self, request):
        """The broker's reply to a request, over a connection of its own."""
        with self.connect() as end:
            end.settimeout(WAIT_S)
            end.sendall(struct.pack(">i", len(request.body)) + request.body)
            return Frame(REPLY, request.link, read_frame(end), request)

    def carry(self, way, end, body):
        """Writes a frame; at a limited rate in small pieces, as a slow line does."""
        data = struct.pack(">i", len(body)) + body
        while data:
            with self.changed:
                rate = self.rates.get(way)
                size = len(data) if rate is None else max(1, rate // RATE_PIECES_S)
                begin = max(self.free_at[way], time.monotonic())
                self.free_at[way] = begin if rate is None else begin + len(data[:size]) / rate
            time.sleep(max(0, begin - time.monotonic()))
            end.sendall(data[:size])
            data = data[size:]

    def forget(self, link):
        """Called by each pump as it ends; the ends are closed when nobody reads them any more."""
        with self.changed:
            if link in self.links:
                self.links.discard(link)
                return
        link.client.close()
        link.broker.close()

    def _tell(self, text):
        self.story.append(f"{time.monotonic() - self.began:8.3f} {text}")

    def _accept(self):
        number = 0
        while True:
            client, _ = self.listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            number += 1
            with self.changed:
                try:
                    self.links.add(Link(self, number, client))
                except OSError:
                    client.close()  # The broker is away.


def read_frame(end):
    size = struct.unpack(">i", _exactly(end, 4))[0]
    if not 4 <= size <= FRAME_BYTES_MAX:
        raise OSError(f"a frame of {size} bytes: this is not Kafka's protocol")
    return _exactly(end, size)


def _exactly(end, size):
    parts, left = [], size
    while left:
        part = end.recv(min(left, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
