"""The tries: which harm can be done to a case, and what became of it when it was."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from cases import end_record
from power import VARIANTS, Disk, Recorder, disk_after
from promises import contents
from tracer import Harm, Outcome, Run

# What may fail, and how: the manual pages of the calls.
FAILURES = {
    ("write", "pwrite64", "writev", "pwritev", "copy_file_range", "sendfile", "fallocate", "ftruncate"):
        ("ENOSPC", "EIO", "EDQUOT"),
    ("fsync", "fdatasync", "syncfs"): ("EIO", "ENOSPC"),
    ("open", "openat", "openat2", "creat"): ("EMFILE", "EIO", "ENOSPC"),
    ("read", "pread64", "readv", "preadv", "getdents64", "stat", "lstat", "fstat", "statx", "newfstatat", "flistxattr",
     "fgetxattr", "readlink", "readlinkat"): ("EIO",),
    ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "fsetxattr"):
        ("ENOSPC", "EIO", "EDQUOT"),
    ("unlink", "unlinkat", "rmdir", "fchmod", "chmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "lchown", "chown",
     "utimensat"): ("EIO",),
    ("flock",): ("ENOLCK",),
    ("connect", "sendto", "recvfrom", "sendmsg"): ("ECONNRESET",),
}
PARTS = ["crash", "fail", "power"]
SHORT = ("write", "pwrite64", "read", "pread64")


def harms_of(part, counts):
    """Every harm of a part that a run with these counts of calls can have."""
    if part == "power":
        last = counts.get("recorded", -1)
        return [Harm("power", number, variant) for number in range(last + 1) for variant in VARIANTS]
    if part == "crash":
        return [Harm("change", number, "kill") for number in range(1, counts.get("change", 0) + 1)]
    harms = []
    for kinds, errors in FAILURES.items():
        for kind in kinds:
            for number in range(1, counts.get(kind, 0) + 1):
                harms += [Harm(kind, number, error, ever) for error in errors for ever in (False, True)]
                if kind in SHORT:
                    harms += [Harm(kind, number, "short", ever) for ever in (False, True)]
    return harms


def baseline(case, work):
    """How many calls of each kind a run makes that nothing happens to."""
    with Place(work) as at:
        case.start(at)
        outcome = Run(case.argv(at), case.env(at), work, seconds=120).run()
        found = case.held(at) + (case.done(at) + case.left(at) if case.is_good(outcome) else [f"exit {outcome.code}"])
        if found:
            raise RuntimeError(f"{case.name} without any harm: {found} {outcome.stderr.decode()}")
        return outcome.counts


def record(case, work):
    """The changes of a run that nothing happens to. What they make of its beginning must be its end."""
    for _ in range(5):
        with Place(work) as at, Place(work) as before:
            case.start(at)
            case.start(before)
            recorder = Recorder(at)
            Run(case.argv(at), case.env(at), work, watch=recorder, seconds=120).run()
            with Place(work) as model:
                disk = Disk(before)
                try:
                    for operation in recorder.log:
                        disk.do(operation)
                    disk.sync_all(disk.root)
                    disk.write(model, "lost", None)
                except KeyError:
                    continue  # threads: one call overtook another between the stop and the call
                if contents(model) == contents(at):
                    return recorder.log
    raise RuntimeError(f"{case.name}: what was recorded does not make what the run made")


class Place:
    """A directory for one try."""

    def __init__(self, work):
        self.work = work

    def __enter__(self):
        self.at = Path(tempfile.mkdtemp(prefix="try-", dir=self.work))
        return self.at

    def __exit__(self, *_):
        shutil.rmtree(self.at, ignore_errors=True)


def attempt(part, case, harm, work):
    """Does the harm, and says what was violated."""
    if part == "power":
        return lose_power(case, harm, work)
    started = time.monotonic()
    with Place(work) as at:
        case.start(at)
        outcome = Run(case.argv(at), case.env(at), work, harm=harm).run()
        if outcome.hung:
            # On a machine that is busy with other things a run may just be late.
            shutil.rmtree(at)
            at.mkdir()
            case.start(at)
            outcome = Run(case.argv(at), case.env(at), work, harm=harm, seconds=300).run()
        found = judge(case, at, harm, outcome)
        found += again(case, at)
    return {
        "case": case.name, "kind": harm.kind, "number": harm.number, "what": harm.what, "for_ever": harm.for_ever,
        "done": outcome.done, "where": outcome.where.replace(os.path.basename(at), "TRY"), "exit": outcome.code,
        "seconds": round(time.monotonic() - started, 2), "violations": found,
        **({"stderr": outcome.stderr.decode(errors="replace")[-2000:]} if found else {}),
    }


def lose_power(case, harm, work):
    """Makes the disk that a power failure may leave, and looks what is on it."""
    started = time.monotonic()
    with Place(work) as before, Place(work) as at:
        case.start(before)
        disk_after(before, case.log, harm.number, harm.what, case.name, at)
        found = case.held(at) + again(case, at)
    where = " ".join(str(part)[:80] for part in case.log[harm.number - 1][:3]) if harm.number else "the beginning"
    return {
        "case": case.name, "kind": harm.kind, "number": harm.number, "what": harm.what, "for_ever": False, "done": True,
        "where": where, "exit": None, "seconds": round(time.monotonic() - started, 2), "violations": found,
    }


def judge(case, at, harm, outcome):
    found = []
    if outcome.hung:
        return ["the run hung"] + case.held(at)
    if outcome.code == 101 or b"panicked" in outcome.stderr:
        found.append("the run panicked")
    if outcome.code in case.never:
        found.append(f"a false answer: exit {outcome.code}")
    was_killed = harm.what == "kill" and outcome.done
    if not was_killed:
        said = end_record(outcome.stdout)
        if said is not None and said != outcome.code:
            found.append(f"the last record says exit {said}, it was {outcome.code}")
        if case.is_good(outcome):
            found += [f"exit {outcome.code}, but {text}" for text in case.done(at)]
            if case.left(at) and not outcome.stderr.strip():
                found.append(f"exit {outcome.code}, and not a word of what it left: {case.left(at)[:2]}")
        else:
            # What cannot write at all cannot say anything either.
            if harm.kind == "write" and harm.for_ever:
                return found + case.held(at)
            found += case.refused(at, outcome)
            if not outcome.stderr.strip():
                found.append(f"exit {outcome.code} without a word on stderr")
    return found + case.held(at)


def again(case, at):
    """The next run must end well, and leave nothing of the one before."""
    if hasattr(case, "prepare_again"):
        case.prepare_again(at)
    done = subprocess.run(case.argv(at), env=case.env(at), cwd=at, capture_output=True, timeout=600)
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    if not case.is_good_again(outcome):
        return [f"the next run ends with {outcome.code}: {outcome.stderr.decode(errors='replace')[-500:]}"]
    found = case.held(at) + case.done(at) + case.settled(at) + [f"{left} is still there" for left in case.left(at)]
    return [f"after the next run, {text}" for text in found]
