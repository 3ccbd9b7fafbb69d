#!/usr/bin/env python3
"""Makes a set as somebody would who can write to the backup disk: SET FILES. Manifest and checksums agree on FILES archives of a
mailbox, and none of them is there."""

import hashlib
import json
import pathlib
import sys


def record(kind, **data):
    return json.dumps({"type": kind, "data": data}, separators=(",", ":")) + "\n"


def main():
    directory, files = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    directory.mkdir(parents=True)
    digest = hashlib.sha256(b"").hexdigest()
    paths = [f"mailboxes/example.com/alice/{number:04}.tar.zst" for number in range(files)]
    place = {"root": str(directory.parent.parent), "set": "daily/" + directory.name}
    with (directory / "manifest.jsonl").open("w") as manifest:
        begin = {"v": 1, "tool": "mail-backup", "version": "1", "host": "mx", "time": "2026-01-01T02:00:00Z", "args": []}
        manifest.write(record("begin", **begin, **place))
        for path in paths:
            facts = {"bytes": 0, "sha256": digest, "entries": 1, "source_bytes": 0, "reused": False}
            manifest.write(record("artifact", **place, component="mailboxes", path=path, **facts))
        end = {"tool": "mail-backup", "status": "ok", "exit": 0, "seconds": 1.0, "totals": {}}
        manifest.write(record("end", **end))
    of_manifest = hashlib.sha256((directory / "manifest.jsonl").read_bytes()).hexdigest()
    (directory / "backup.log").write_text("")
    with (directory / "checksums.sha256").open("w") as checksums:
        checksums.writelines(f"{digest}  {path}\n" for path in sorted(paths))
        checksums.write(f"{digest}  backup.log\n{of_manifest}  manifest.jsonl\n")


main()
