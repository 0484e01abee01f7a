"""Every mutant of a clean dump of about 10,000 records must be refused, under the right name; the
controls must pass. Needs no broker. Runs on two processes and must stay under 60 s.

`test_mutants.py NAME` runs one mutant on every dump it applies to and prints what was said.
"""
import functools
import os
import sys
import unittest
from concurrent.futures import ProcessPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import judge
from mutants import CONTROLS, TABLE, Lab
from synth import Synth

RECORDS = 10000
# What a test build leaves behind, and what any other writer would: no headers, no group log.
DUMPS = {
    "every": ("every", {}),
    "echo": ("echo", {}),
    "echo-bare": ("echo", {"headers": False, "history": False}),
}


@functools.lru_cache(maxsize=4)
def clean(name):
    """(Synth, its dump, its parsed logs)"""
    kind, options = DUMPS[name]
    synth = Synth(kind, records=RECORDS, **options)
    found = judge.Judge(synth.dump())
    found.run()
    return synth, found.dump, found.known


def applies(name, dump):
    """True if the mutant can be made on that dump. The bare echo covers what needs no header;
    of the full echo only what leans on headers or the group's log is run again."""
    kind, options = DUMPS[dump]
    _, kinds, _, _, needs = TABLE[name]
    if kind not in kinds or (needs and not options.get(needs, True)):
        return False
    return dump != "echo" or needs or name in ("abort-to-commit", "wrong-partition",
                                               "offset-minus-one", "commit-to-abort",
                                               "swap-one-key", "duplicate-later", "other-key")


def judged(job):
    """(mutant or control, dump, violations)."""
    name, dump = job
    synth, original, known = clean(dump)
    lab = Lab(synth, original)
    (TABLE.get(name) or CONTROLS[name])[0](lab)
    found = judge.Judge(lab.dump, known=dict(known)).run()
    return name, dump, [(v[0], v[1], v[2][:200]) for v in found[:200]]


class Mutants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        jobs = [(name, dump) for dump in DUMPS for name in TABLE if applies(name, dump)]
        jobs += [(name, dump) for dump in DUMPS for name in CONTROLS]
        with ProcessPoolExecutor(2) as pool:
            cls.results = list(pool.map(judged, jobs, chunksize=8))

    def test_clean_dumps_pass(self):
        for kind, options in (("every", {}), ("on_commit", {}), ("echo", {}),
                              ("on_commit", {"headers": False, "history": False})):
            with self.subTest(kind=kind, options=options):
                synth = Synth(kind, seed=3, records=RECORDS, **options)
                self.assertEqual(judge.Judge(synth.dump()).run(), [])

    def test_every_mutant_is_named(self):
        for name, dump, found in self.results:
            if name in CONTROLS:
                continue
            _, _, must, may, _ = TABLE[name]
            named = {v[0] for v in found}
            with self.subTest(mutant=name, dump=dump):
                self.assertLessEqual(set(must.split()), named, found[:3])
                self.assertLessEqual(named, set(must.split()) | set(may.split()), found[:3])

    def test_controls_pass(self):
        for name, dump, found in self.results:
            if name in CONTROLS:
                with self.subTest(control=name, dump=dump):
                    self.assertEqual(found, [])

    def test_every_mutant_ran(self):
        self.assertEqual({name for name, _, _ in self.results}, set(TABLE) | set(CONTROLS))
        self.assertGreaterEqual(len(TABLE), 24)


def show(name):
    for dump, (kind, _) in DUMPS.items():
        if kind in (TABLE.get(name) or CONTROLS[name])[1]:
            print(f"{name} on {dump}:")
            judge.print_violations(judged((name, dump))[2], judge.SHOWN_MAX, sys.stdout)


if __name__ == "__main__":
    if len(sys.argv) == 2 and not sys.argv[1].startswith("-") and "." not in sys.argv[1]:
        show(sys.argv[1])
    else:
        unittest.main()
