"""What must hold, judged with stock programs: sha256sum, tar, and what the file system says of a tree."""

import hashlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path

_unpacked = {}


def facts(tree):
    """What a tree is: of each name below it the kind, mode, owner, time of change, and content or target."""
    found = {}
    base = os.fspath(tree)
    for directory, directories, files in os.walk(base):
        for name in directories + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, base)] = _fact(path)
    return found


def _fact(path):
    status = os.lstat(path)
    common = (stat.filemode(status.st_mode), status.st_uid, status.st_gid)
    if stat.S_ISLNK(status.st_mode):
        return (*common, os.readlink(path))
    if stat.S_ISREG(status.st_mode):
        return (*common, status.st_mtime_ns, digest(path))
    return (*common, status.st_mtime_ns)


def contents(tree):
    """As `facts`, of files alone, without owners and times: what a copy elsewhere must have."""
    return {path: fact[4] for path, fact in facts(tree).items() if len(fact) == 5 and not is_unfinished(path)}


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def difference(found, wanted):
    """Some names in which two trees differ, for whoever looks for the cause."""
    names = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    return f"{len(names)} names differ: " + ", ".join(
        f"{name} ({found.get(name)} for {wanted.get(name)})" for name in names[:2]
    )


def damage(directory):
    """What sha256sum says against a set, or that it has files that its checksums do not list."""
    checked = subprocess.run(
        ["sha256sum", "--quiet", "--strict", "-c", "checksums.sha256"], cwd=directory, capture_output=True
    )
    name = os.path.basename(directory)
    if checked.returncode != 0:
        return [f"{name} is damaged: {(checked.stdout + checked.stderr).decode()[:300]}"]
    listed = {line[66:].removeprefix("./") for line in Path(directory, "checksums.sha256").read_text().splitlines()}
    beside = ("checksums.sha256", "checksums.sha256.sig")
    others = [path for path in contents(directory) if path not in listed and path not in beside]
    return [f"{name} has files that its checksums do not list: {others[:3]}"] if others else []


def is_unfinished(path):
    """What a killed push or pull leaves; pushes clear what is older than a day (docs/off-site.md)."""
    return os.path.basename(path).startswith(".tmp-")


def mail_of(directory):
    """The mail of a set as GNU tar unpacks it, by the commands of docs/format.md."""
    lines = Path(directory, "checksums.sha256").read_text().splitlines()
    key = hashlib.sha256("\n".join(sorted(line for line in lines if " mailboxes/" in line)).encode()).hexdigest()
    if key not in _unpacked:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as target:
            for archive in _archives(Path(directory, "mailboxes")):
                subprocess.run(
                    ["tar", "--zstd", "--incremental", "-xpf", archive, "-C", target], check=True, capture_output=True
                )
            _unpacked[key] = facts(target)
    return _unpacked[key]


def _archives(mailboxes):
    """Segments by their numbers, then what gives them the names of the day, then the directories above."""
    of_day = [path for path in mailboxes.rglob("0000.tar.zst") if path.parent != mailboxes / "_root"]
    segments = [path for path in mailboxes.rglob("*.tar.zst") if path.name != "0000.tar.zst"]
    return sorted(segments) + sorted(of_day) + list(mailboxes.glob("_root/0000.tar.zst"))


def sets_in(root):
    """The sets of a root that have a final name."""
    for kind in ("daily", "weekly", "hourly"):
        for path in sorted(Path(root, kind).glob("[0-9]*")):
            if not path.name.endswith(".incomplete"):
                yield path


def hidden_in(*directories):
    """What no run may leave: hidden names but the lock."""
    return [
        str(path) for directory in directories for path in Path(directory).glob(".*") if path.name != ".lock"
    ]
