"""Which records of a partition are committed, told from its control markers alone.

A partition holds at most one open transaction of a producer id, so a marker closes that id's open
one. The marker of an abort by a successor carries a higher producer epoch than the data it ends,
hence epochs are compared with "at least", not "equal".
"""
from records import ABORT, COMMIT, FormatError, batches

OPEN = None


class Segment:
    """What one transaction wrote to one partition. ending: COMMIT, ABORT or OPEN."""

    __slots__ = ("topic", "partition", "producer_id", "producer_epoch", "first", "last", "ending",
                 "marker_at")

    def __init__(self, topic, partition, batch):
        self.topic = topic
        self.partition = partition
        self.producer_id = batch.producer_id
        self.producer_epoch = batch.producer_epoch
        self.first = batch.base_offset
        self.last = batch.last_offset
        self.ending = OPEN
        self.marker_at = None

    def __str__(self):
        word = {COMMIT: "committed", ABORT: "aborted", OPEN: "open"}[self.ending]
        return (f"{word} transaction of producer {self.producer_id} epoch {self.producer_epoch} "
                f"at {self.topic}-{self.partition}@{self.first}..{self.last}")


class PartitionLog:
    """The batches of one partition, from the raw bytes of a read_uncommitted fetch.

    entries: [(batch, segment or None for a batch outside transactions)], data batches only.
    problems: [(invariant, offset, text)] found on the way.
    """

    def __init__(self, topic, partition, data, log_start, high_watermark, verify_crc=True):
        self.topic = topic
        self.partition = partition
        self.log_start = log_start
        self.high_watermark = high_watermark
        self.entries = []
        self.segments = []
        self.problems = []
        self.damaged = set()            # base offsets of batches with a wrong sum
        self._open = {}
        self._epochs = {}
        self._next = log_start
        self._read(data, verify_crc)

    def _problem(self, invariant, offset, text):
        self.problems.append((invariant, offset, text))

    def _read(self, data, verify_crc):
        try:
            for batch in batches(data):
                if batch.base_offset != self._next:
                    self._problem("I1", self._next, f"the log goes on at offset "
                                  f"{batch.base_offset}: records are gone from it")
                self._next = batch.last_offset + 1
                if verify_crc and not batch.crc_ok():
                    self._problem("I1", batch.base_offset, f"CRC-32C of the batch of "
                                  f"{batch.count} records is wrong: damaged, not counted")
                    self.damaged.add(batch.base_offset)
                    continue
                self._take(batch)
        except FormatError as error:
            self._problem("I1", self._next, str(error))
        if self._next != self.high_watermark:
            self._problem("I1", self._next, f"the log ends here, but its high watermark is "
                          f"{self.high_watermark}")

    def _take(self, batch):
        pid = batch.producer_id
        if batch.producer_epoch < self._epochs.get(pid, batch.producer_epoch):
            self._problem("I7", batch.base_offset, f"producer {pid} writes with epoch "
                          f"{batch.producer_epoch} after epoch {self._epochs[pid]}")
        if pid >= 0:
            self._epochs[pid] = max(batch.producer_epoch, self._epochs.get(pid, -1))
        if batch.control:
            self._close(batch)
        elif not batch.transactional:
            self.entries.append((batch, None))
        else:
            segment = self._open.get(pid)
            if segment is None or segment.producer_epoch != batch.producer_epoch:
                segment = Segment(self.topic, self.partition, batch)
                self._open[pid] = segment
                self.segments.append(segment)
            segment.last = batch.last_offset
            self.entries.append((batch, segment))

    def _close(self, batch):
        kind = batch.marker()
        if kind is None:
            return
        segment = self._open.pop(batch.producer_id, None)
        if segment is not None:
            segment.ending = kind
            segment.marker_at = batch.base_offset

    def open_segments(self):
        return list(self._open.values())

    def last_stable(self):
        """The last stable offset that these markers give."""
        return min([s.first for s in self._open.values()], default=self.high_watermark)

    def visible(self):
        """[(record, segment or None)] of what is committed, in offset order. Behind an open
        transaction a reader must wait for it, which is reported as I9 and not as loss."""
        out = []
        for batch, segment in self.entries:
            if segment is None or segment.ending == COMMIT:
                out += [(record, segment) for record in batch.records()]
        return out

    def hidden(self):
        """[(record, segment)] of aborted and open transactions."""
        return [(record, segment) for batch, segment in self.entries
                if segment is not None and segment.ending != COMMIT
                for record in batch.records()]

    def visible_batches(self):
        """{base offset: (batch, segment)} that a read_committed reader must see by now."""
        end = self.last_stable()
        return {batch.base_offset: (batch, segment) for batch, segment in self.entries
                if batch.base_offset < end and (segment is None or segment.ending == COMMIT)}

    def aborted_index(self):
        """[(producer id, first offset)] as the broker's aborted index must have it."""
        return [(s.producer_id, s.first) for s in self.segments if s.ending == ABORT]


def shown_to_committed_reader(data, aborted):
    """The data batches a read_committed client shows, given the raw response and its aborted
    list, by the rule clients use: an id is hidden from its first aborted offset to its marker."""
    waiting = sorted(aborted, key=lambda item: item[1])
    hidden, shown, at = set(), [], 0
    for batch in batches(data):
        while at < len(waiting) and waiting[at][1] <= batch.last_offset:
            hidden.add(waiting[at][0])
            at += 1
        if batch.control:
            if batch.marker() == ABORT:
                hidden.discard(batch.producer_id)
        elif not (batch.transactional and batch.producer_id in hidden):
            shown.append(batch)
    return shown
