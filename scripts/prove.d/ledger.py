"""What was tried, and what came of it: a line of JSON for each try, and a report of the counts for people."""

import json
import os
import platform
import time
from collections import Counter
from pathlib import Path


def key_of(part, case, harm):
    return (part, case, harm.kind, harm.number, harm.what, harm.for_ever)


class Ledger:
    """A directory with `tries.jsonl` and `report.md`. Tries of another commit or seed are not counted as done."""

    def __init__(self, directory, run):
        self.directory, self.run = Path(directory), run
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path = self.directory / "tries.jsonl"
        self.done, self.violations = {}, []
        self.planned = Counter()
        self.started = time.time()
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                self._take(json.loads(line))
        self.file = self.path.open("a")

    def _take(self, one):
        if any(one.get(name) != value for name, value in self.run.items()):
            return
        key = (one["part"], one["case"], one["kind"], one["number"], one["what"], one["for_ever"])
        self.done[key] = one
        if one["violations"]:
            self.violations.append(one)

    def plan(self, planned):
        self.planned = Counter(one[:2] for one in planned)

    def has(self, one):
        return key_of(*one) in self.done

    def add(self, result):
        one = self.run | result
        self._take(one)
        self.file.write(json.dumps(one, ensure_ascii=False) + "\n")
        self.file.flush()

    def summary(self):
        """The report, also written to report.md."""
        tried, hit, bad = Counter(), Counter(), Counter()
        for one in self.done.values():
            row = (one["part"], one["case"])
            tried[row] += 1
            hit[row] += one["done"]
            bad[row] += bool(one["violations"])
        lines = [
            f"commit {self.run['commit']}, seed {self.run['seed']}, {time.strftime('%Y-%m-%d', time.gmtime())}, "
            f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
            "",
            "| part | case | there are | tried | hit | violations |",
            "|---|---|---|---|---|---|",
        ]
        for part, case in sorted(self.planned.keys() | tried.keys()):
            row = (part, case)
            lines.append(f"| {part} | {case} | {self.planned[row]} | {tried[row]} | {hit[row]} | {bad[row]} |")
        lines.append(f"| all | | {self.planned.total()} | {tried.total()} | {hit.total()} | {bad.total()} |")
        for one in self.violations:
            lines += ["", f"- {one['part']} {one['case']}: {one['kind']} {one['number']} {one['what']}"
                      f"{' for ever' if one['for_ever'] else ''}, at `{one['where']}`, exit {one['exit']}:"]
            lines += [f"  - {text}" for text in one["violations"]]
        text = "\n".join(lines) + "\n"
        (self.directory / "report.md").write_text(text)
        return text
