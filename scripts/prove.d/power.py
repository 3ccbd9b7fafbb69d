"""Power loss: the writes of a run, and what a disk may hold of them when the power goes.

A run is recorded call by call: what was created, written, renamed, linked, removed, synced. From any beginning of that
list the disks are made that fsync(2) allows: what was synced is there, and of the rest
  lost   nothing,
  names  every name, and no content that was not synced,
  torn   of each directory the first so many of its changes, of each file the first so many of its bytes.
Modes, owners and times are not recorded, so only runs are tried that store sets.
"""

import os
import random
import stat
from pathlib import Path

from tracer import memory, path_below

VARIANTS = ("lost", "names", "torn")


class Recorder:
    """Watches a run; `log` has what it changed below a directory."""

    def __init__(self, directory):
        self.directory = os.path.realpath(directory)
        self.log = []

    def __call__(self, call):
        take = getattr(self, "_" + call.name, None)
        if take and call.path.startswith(self.directory) and not call.path.endswith(" (deleted)"):
            take(call, self._name(call.path))

    def _name(self, path):
        return os.path.relpath(os.path.normpath(path), self.directory)

    def _there(self, name):
        return os.path.lexists(os.path.join(self.directory, name))

    def _can_be_made(self, name):
        """The call fails otherwise: a directory above is missing, or it is there."""
        return self._there(os.path.dirname(name) or ".") and not self._there(name)

    def _add(self, *operation):
        self.log.append(operation)

    def _opened(self, call, name):
        flags = call.flags()
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            return
        if flags & os.O_CREAT and self._can_be_made(name):
            self._add("create", name)
        elif flags & os.O_TRUNC and self._there(name):
            self._add("truncate", name, 0)

    _open = _openat = _openat2 = _opened

    def _write(self, call, name):
        position = Path(f"/proc/{call.pid}/fdinfo/{call.args[0]}").read_text().split()[1]
        self._add("write", name, int(position), memory(call.pid, call.args[1], call.args[2]))

    def _pwrite64(self, call, name):
        self._add("write", name, call.args[3], memory(call.pid, call.args[1], call.args[2]))

    def _copy_file_range(self, call, name):
        raise RuntimeError("copy_file_range is not recorded: let the case lie on one file system")

    _sendfile = _writev = _pwritev = _copy_file_range

    def _ftruncate(self, call, name):
        self._add("truncate", name, call.args[1])

    def _fsync(self, call, name):
        self._add("sync", name)

    _fdatasync = _fsync

    def _syncfs(self, call, name):
        self._add("syncfs")

    def _mkdir(self, call, name):
        if self._can_be_made(name):
            self._add("mkdir", name)

    _mkdirat = _mkdir

    def _renameat2(self, call, name):
        target = self._name(path_below(call.pid, call.args[2], call.args[3]))
        flags = call.args[4]
        if self._there(name) and not (flags & 1 and self._there(target)):
            self._add("exchange" if flags & 2 else "rename", name, target)

    def _renameat(self, call, name):
        self._add("rename", name, self._name(path_below(call.pid, call.args[2], call.args[3])))

    def _rename(self, call, name):
        self._add("rename", name, self._name(path_below(call.pid, 0xFFFFFF9C, call.args[1])))

    def _linkat(self, call, name):
        target = self._name(path_below(call.pid, call.args[2], call.args[3]))
        if self._there(name) and self._can_be_made(target):
            self._add("link", name, target)

    def _symlink(self, call, name):
        if self._can_be_made(name):
            self._add("symlink", name, os.fsdecode(_text(call.pid, call.args[0])))

    def _unlink(self, call, name):
        if self._there(name):
            self._add("remove", name)

    _unlinkat = _rmdir = _unlink


def _text(pid, address):
    return memory(pid, address, 4096 - address % 4096).split(b"\0", 1)[0]


class Node:
    """A file, a directory or a link: as it is, and as it is known to be on the disk."""

    def __init__(self, kind, value):
        self.kind, self.value = kind, value
        self.synced = None if kind == "link" else type(value)()
        self.changes = []  # of a directory, since it was synced

    def sync(self):
        self.synced = self.value.copy() if self.kind == "directory" else bytes(self.value)
        self.changes = []


class Disk:
    """A directory as a recorded run changes it."""

    def __init__(self, directory):
        self.nodes = {}
        self.root = self._load(os.fspath(directory))

    def _load(self, path):
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) in self.nodes:
            return self.nodes[status.st_dev, status.st_ino]
        if stat.S_ISLNK(status.st_mode):
            return Node("link", os.readlink(path))
        if stat.S_ISDIR(status.st_mode):
            node = Node("directory", {name: self._load(os.path.join(path, name)) for name in os.listdir(path)})
        else:
            node = Node("file", bytearray(Path(path).read_bytes()))
        node.sync()
        self.nodes[status.st_dev, status.st_ino] = node
        return node

    def at(self, name):
        node = self.root
        for part in () if name == "." else name.split("/"):
            node = node.value[part]
        return node

    def _parent(self, name):
        return self.at(os.path.dirname(name) or "."), os.path.basename(name)

    def _set(self, *changes):
        """Changes names; those of one directory are one change."""
        by_parent = {}
        for name, node in changes:
            parent, base = self._parent(name)
            by_parent.setdefault(id(parent), (parent, []))[1].append((base, node))
        for parent, entries in by_parent.values():
            parent.changes.append(entries)
            _apply(parent.value, entries)

    def do(self, operation):
        kind, *rest = operation
        if kind == "syncfs":
            self.sync_all(self.root)
        elif kind == "sync":
            self.at(rest[0]).sync()
        elif kind == "create":
            self._set((rest[0], Node("file", bytearray())))
        elif kind == "mkdir":
            self._set((rest[0], Node("directory", {})))
        elif kind == "symlink":
            self._set((rest[0], Node("link", rest[1])))
        elif kind == "write":
            name, position, data = rest
            content = self.at(name).value
            content.extend(b"\0" * (position - len(content)))
            content[position:position + len(data)] = data
        elif kind == "truncate":
            content = self.at(rest[0]).value
            del content[rest[1]:]
        elif kind == "rename":
            self._set((rest[0], None), (rest[1], self.at(rest[0])))
        elif kind == "exchange":
            one, other = self.at(rest[0]), self.at(rest[1])
            self._set((rest[0], other), (rest[1], one))
        elif kind == "link":
            self._set((rest[1], self.at(rest[0])))
        elif kind == "remove":
            self._set((rest[0], None))

    def sync_all(self, node):
        if node.kind == "directory":
            for child in list(node.value.values()):
                self.sync_all(child)
        if node.kind != "link":
            node.sync()

    def write(self, directory, variant, dice):
        """Makes a disk of it as it may be after the power went."""
        made = {}
        self._write(self.root, Path(directory), variant, dice, made)

    def _write(self, node, path, variant, dice, made):
        if node.kind == "link":
            path.symlink_to(node.value)
        elif node.kind == "directory":
            path.mkdir(mode=0o700, exist_ok=True)
            for name, child in entries_of(node, variant, dice).items():
                self._write(child, path / name, variant, dice, made)
        elif id(node) in made:
            os.link(made[id(node)], path)
        else:
            path.write_bytes(content_of(node, variant, dice))
            path.chmod(0o600)
            made[id(node)] = path


def _apply(entries, changes):
    for name, node in changes:
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def entries_of(node, variant, dice):
    if variant == "names":
        return node.value
    entries = node.synced.copy()
    if variant == "torn":
        for change in node.changes[:dice.randint(0, len(node.changes))]:
            _apply(entries, change)
    return entries


def content_of(node, variant, dice):
    if variant == "torn" and bytes(node.value) != node.synced:
        return bytes(node.value[:dice.randint(0, len(node.value))])
    return node.synced


def disk_after(before, log, number, variant, seed, directory):
    """The disk after the first `number` operations of a run that began with the directory `before`."""
    disk = Disk(before)
    for operation in log[:number]:
        disk.do(operation)
    disk.write(directory, variant, random.Random(f"{seed} {number}"))
    return disk
