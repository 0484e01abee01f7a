"""Compares what outputs should hold with what they hold, unit by unit.

Every loop runs over the expected *and* the received side: looking only at what arrived lets a
lost tail pass. What does not fit is named by the invariant it breaks:

    expected, not there                         I1
    there twice, or made by no input            I2
    right record at the wrong place             I3 (order of a key, or partition)
    effect of an input not yet committed        I4
    outputs of a whole stretch of input gone    I4 besides I1
    a whole attempt visible beside its redo     I6 besides I2
"""
from bisect import bisect_left
from collections import Counter, defaultdict

_PAIRS_MAX = 3_000_000


def align(expected, received):
    """The longest common subsequence: [(i, j)] of matching indexes, rising in both."""
    low, high_e, high_r = 0, len(expected), len(received)
    while low < high_e and low < high_r and expected[low] == received[low]:
        low += 1
    while high_e > low and high_r > low and expected[high_e - 1] == received[high_r - 1]:
        high_e -= 1
        high_r -= 1
    pairs = [(i, i) for i in range(low)]
    pairs += _middle(expected, received, low, high_e, high_r)
    pairs += [(high_e + k, high_r + k) for k in range(len(expected) - high_e)]
    return pairs


def _middle(expected, received, low, high_e, high_r):
    """Hunt and Szymanski: the longest rising chain of matching positions."""
    places = defaultdict(list)
    for i in range(high_e - 1, low - 1, -1):
        places[expected[i]].append(i)
    many = sum(len(places[received[j]]) for j in range(low, high_r) if received[j] in places)
    one_each = many > _PAIRS_MAX        # equal values by the thousand: match them in order
    tails, links = [], []
    for j in range(low, high_r):
        found = places.get(received[j], ())
        for i in [found.pop()] if one_each and found else found:
            at = bisect_left(tails, i)
            link = (i, j, links[at - 1] if at else None)
            if at == len(tails):
                tails.append(i)
                links.append(link)
            else:
                tails[at] = i
                links[at] = link
    chain, link = [], links[-1] if links else None
    while link:
        chain.append(link[:2])
        link = link[2]
    return chain[::-1]


def short(value, limit=160):
    """A value for a message."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def place(origin):
    return f"{origin[0]}-{origin[1]}@{origin[2]}"


class Ref:
    """A visible output record: where it is, which transaction it is in, what its headers say."""

    __slots__ = ("topic", "partition", "record", "segment", "source", "attempt")

    def __init__(self, topic, partition, record, segment, source, attempt):
        self.topic = topic
        self.partition = partition
        self.record = record
        self.segment = segment
        self.source = source            # (topic, partition, offset) of mr-src, or None
        self.attempt = attempt          # (incarnation, epoch text) of mr-inc, or None

    def __str__(self):
        text = f"{self.topic}-{self.partition}@{self.record.offset}"
        if self.attempt:
            text += f" (incarnation {self.attempt[0]} epoch {self.attempt[1]})"
        return text


class Matcher:
    """Fills the units of a Replay with received records and compares them.

    matched: [(origin, Ref)] of every pair that fits, for the checks that follow.
    """

    def __init__(self, spec, replay, committed, report, hidden):
        self.spec = spec
        self.replay = replay
        self.committed = committed      # (topic, partition) -> offset
        self.report = report
        self.hidden = hidden            # (topic, key, value) -> text, of aborted and open ones
        self.matched = []
        self.lost = []                  # (unit, element, origin)
        self.surplus = []               # (key, element, Ref, unit or None)
        self.copies = []                # (Ref, Ref) of equal effects
        self.strict_epochs = False

    def receive(self, refs, element_of, sourced):
        """Distributes visible records over the units. sourced: they all carry mr-src."""
        default = self.spec.inputs[0]
        for ref in refs:
            source = ref.source[:2] if sourced else (default, ref.partition)
            element = element_of(ref.record)
            unit = self.replay.unit(ref.topic, ref.record.key, source)
            if unit is None:
                self.surplus.append((ref.record.key, element, ref, None))
                continue
            unit.received.append((element, ref.source) if sourced else element)
            unit.refs.append(ref)

    def compare(self, sourced, subsequence):
        for unit in self.replay.units.values():
            expected = (list(zip(unit.expected, unit.origins))
                        if sourced.get(unit.topic) else unit.expected)
            if any(ref.partition != unit.partition for ref in unit.refs):
                self._take_strays(unit, expected)
            if subsequence:
                self._compare_rising(unit)
            elif expected == unit.received:
                self.matched += zip(unit.origins, unit.refs)
            else:
                self._compare_exact(unit, expected)
        self._settle()

    def _take_strays(self, unit, expected):
        """Reports records outside the unit's partition, and what they stand for as received."""
        kept, refs = [], []
        for element, ref in zip(unit.received, unit.refs):
            if ref.partition == unit.partition:
                kept.append(element)
                refs.append(ref)
                continue
            self.report("I3", str(ref), f"key {short(unit.key)} belongs in partition "
                        f"{unit.partition} of {unit.topic}")
            if element in expected and unit.received.count(element) == 1:
                at = expected.index(element)
                self.matched.append((unit.origins[at], ref))
                del expected[at], unit.origins[at]
                if expected is not unit.expected:
                    del unit.expected[at]
            else:
                self.surplus.append((unit.key, element, ref, unit))
        unit.received, unit.refs = kept, refs

    def _compare_exact(self, unit, expected):
        pairs = align(expected, unit.received)
        first = {}
        for i, j in pairs:
            self.matched.append((unit.origins[i], unit.refs[j]))
            first.setdefault(expected[i], unit.refs[j])
        have_e, have_r = {i for i, _ in pairs}, {j for _, j in pairs}
        lost = defaultdict(list)
        for i in range(len(expected)):
            if i not in have_e:
                lost[expected[i]].append(i)
        ahead = Counter(unit.ahead)
        for j, element in enumerate(unit.received):
            if j in have_r:
                continue
            ref = unit.refs[j]
            if lost.get(element):
                i = lost[element].pop()
                self.matched.append((unit.origins[i], ref))
                self.report("I3", str(ref), f"key {short(unit.key)}: out of order, the effect of "
                            f"{place(unit.origins[i])} is at the wrong place")
            elif element in first:
                self.copies.append((first[element], ref))
                self.report("I2", str(ref), f"key {short(unit.key)}: twice, the first is at "
                            f"{first[element]}: {short(ref.record.value)}")
            elif self._is_ahead(element, ref, ahead):
                self.report("I4", str(ref), f"key {short(unit.key)}: effect of an input at or "
                            f"above the committed offset: {short(ref.record.value)}")
            else:
                self.surplus.append((unit.key, element, ref, unit))
        self.lost += [(unit, expected[i], unit.origins[i]) for found in lost.values()
                      for i in found]

    def _is_ahead(self, element, ref, ahead):
        if ref.source and ref.source[2] >= self.committed.get(ref.source[:2], 0):
            return True
        if ahead.get(element):
            ahead[element] -= 1
            return True
        return False

    def _compare_rising(self, unit):
        """emit: on_commit without known epochs: a rising subsequence that ends in the last."""
        at, seen, ahead = -1, {}, set(unit.ahead)
        epochs = set()
        for element, ref in zip(unit.received, unit.refs):
            epoch = ref.attempt or (id(ref.segment) if ref.segment else ref.record.offset)
            if epoch in epochs:
                self.report("I2", str(ref), f"key {short(unit.key)}: second output in one epoch")
            epochs.add(epoch)
            try:
                at = unit.expected.index(element, at + 1)
                self.matched.append((unit.origins[at], ref))
                seen.setdefault(element, ref)
            except ValueError:
                self._name_unfit(unit, element, ref, seen, ahead)
        if unit.expected and at != len(unit.expected) - 1 and (
                not unit.received or unit.received[-1] != unit.expected[-1]):
            self.lost.append((unit, unit.expected[-1], unit.origins[-1]))

    def _name_unfit(self, unit, element, ref, seen, ahead):
        if element in seen:
            self.copies.append((seen[element], ref))
            self.report("I2", str(ref), f"key {short(unit.key)}: twice, the first is at "
                        f"{seen[element]}: {short(ref.record.value)}")
        elif element in unit.expected:
            self.report("I3", str(ref), f"key {short(unit.key)}: older than the output before "
                        f"it: {short(ref.record.value)}")
        elif element in ahead:
            self.report("I4", str(ref), f"key {short(unit.key)}: effect of an input at or above "
                        f"the committed offset: {short(ref.record.value)}")
        else:
            self.surplus.append((unit.key, element, ref, unit))

    def _settle(self):
        """Pairs what is lost with what is at another partition, then reports both sides."""
        extra = defaultdict(list)
        for item in self.surplus:
            extra[item[2].topic, item[0], item[1]].append(item)
        gone = []
        for unit, element, origin in self.lost:
            found = extra.get((unit.topic, unit.key, element))
            if found:
                ref = found.pop()[2]
                self.matched.append((origin, ref))
                if ref.partition != unit.partition:
                    self.report("I3", str(ref), f"key {short(unit.key)} of {place(origin)} "
                                f"belongs in partition {unit.partition}")
                else:
                    self.report("I3", str(ref), f"effect of {place(origin)} is out of order")
                continue
            gone.append((unit, element, origin))
        for found in extra.values():
            for key, _, ref, unit in found:
                self._report_surplus(key, ref, unit)
        self._report_lost(gone)
        self._report_whole_attempts()

    def _report_surplus(self, key, ref, unit):
        source = f", made from {place(ref.source)}" if ref.source else ""
        if ref.source and ref.source[2] >= self.committed.get(ref.source[:2], 0):
            self.report("I4", str(ref), f"key {short(key)}: effect of an input at or above the "
                        f"committed offset{source}")
            return
        want = ""
        if unit is None and not self.spec.select:
            unit = None
        elif unit is not None and unit.expected:
            want = f"; the key's last expected value is {short(unit.expected[-1])}"
        self.report("I2", str(ref), f"key {short(key)}: no input below the committed offsets "
                    f"gives {short(ref.record.value)}{source}{want}")

    def _report_lost(self, gone):
        by_source = defaultdict(list)
        for unit, element, origin in gone:
            value = element[0] if isinstance(element, tuple) and not self.spec.select else element
            text = f"expected in {unit.topic}-{unit.partition}, key {short(unit.key)}: " \
                   f"{short(value)}"
            away = self.hidden.get((unit.topic, unit.key, value if isinstance(value, bytes)
                                    else None))
            self.report("I1", place(origin), f"its output is missing; {text}"
                        + (f"; only in {away}" if away else ""))
            by_source[origin[:2], unit.topic].append(origin[2])
        for (source, topic), offsets in sorted(by_source.items()):
            self._report_runs(source, topic, sorted(set(offsets)))

    def _report_runs(self, source, topic, offsets):
        """A run of lost effects, or one that reaches the committed offset, is a transaction whose
        offsets count and whose outputs do not."""
        made = self.replay.produced[source]
        index = {offset: i for i, offset in enumerate(made)}
        run = [offsets[0]]
        for offset in offsets[1:] + [None]:
            if offset is not None and index[offset] == index[run[-1]] + 1:
                run.append(offset)
                continue
            tail = index[run[-1]] == len(made) - 1
            if len(run) > 1 or tail:
                self.report("I4", f"{source[0]}-{source[1]}@{run[0]}", f"{len(run)} inputs in a "
                            f"row, to offset {run[-1]}, are below the committed offset "
                            f"{self.committed[source]}, but their outputs in {topic} are not "
                            f"committed")
            run = [offset]

    def _report_whole_attempts(self):
        """A transaction all of whose effects are visible elsewhere too is an attempt that should
        have been aborted."""
        double = defaultdict(set)
        for one, other in self.copies:
            if one.segment is not None and other.segment is not None \
                    and one.segment is not other.segment:
                double[id(one.segment)].add(id(one.record))
                double[id(other.segment)].add(id(other.record))
        if not double:
            return
        sizes, segments = Counter(), {}
        for unit in self.replay.units.values():
            for ref in unit.refs:
                if ref.segment is not None:
                    sizes[id(ref.segment)] += 1
                    segments[id(ref.segment)] = ref.segment
        for name, records in double.items():
            if len(records) == sizes[name] and len(records) > 1:
                self.report("I6", f"{segments[name].topic}-{segments[name].partition}"
                            f"@{segments[name].first}", f"{segments[name]}: all its "
                            f"{len(records)} outputs are visible from another attempt too")
