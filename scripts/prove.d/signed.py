"""The cases in which sets are signed: a set that is called signed is, and a forged one is never accepted."""

import subprocess
from pathlib import Path

from cases import DAYS, BackupDaily, DamagedSet, Pull
from promises import sets_in

SIGNER = "mx.example.com"


class Keys:
    """A key to sign with, and who is accepted."""

    def make_mail(self, directory, messages=24):
        super().make_mail(directory, messages)
        key = self.base / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
        (self.base / "allowed").write_text(f"{SIGNER} {key.with_suffix('.pub').read_text()}")

    def settings(self, at):
        return super().settings(at) | {"BACKUP_SIGNING_KEY": f"{self.base}/key", "TMPDIR": str(at),
                                       "ALLOWED_SIGNERS": f"{self.base}/allowed"}

    def forge(self, directory):
        """Changes a set so that it agrees with itself: only its signature is not of it."""
        log, sums = Path(directory, "backup.log"), Path(directory, "checksums.sha256")
        log.chmod(0o600), sums.chmod(0o600)
        log.write_text(log.read_text() + "forged\n")
        digest = subprocess.run(["sha256sum", log], capture_output=True, check=True).stdout.decode()[:64]
        lines = [f"{digest}  backup.log" if line.endswith("  backup.log") else line
                 for line in sums.read_text().splitlines()]
        sums.write_text("".join(f"{line}\n" for line in lines))
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", "checksums.sha256"], cwd=directory, check=True)


def fault_of_signature(directory, allowed):
    """What ssh-keygen says against the signature of a set, if it has one."""
    signature = Path(directory, "checksums.sha256.sig")
    if not signature.exists():
        return []
    with Path(directory, "checksums.sha256").open() as checksums:
        verified = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", allowed, "-I", SIGNER, "-n", "mail-backup", "-s", signature],
            stdin=checksums, capture_output=True,
        )
    said = (verified.stdout + verified.stderr).decode()
    return [] if verified.returncode == 0 else [f"{Path(directory).name} has a signature that is not of it: {said}"]


class BackupSigned(Keys, BackupDaily):
    name = "backup-signed"

    def held(self, at):
        faults = [fault for path in sets_in(at / "backup") for fault in fault_of_signature(path, self.base / "allowed")]
        return super().held(at) + faults

    def done(self, at):
        unsigned = [path.name for path in sets_in(at / "backup") if not (path / "checksums.sha256.sig").exists()]
        return super().done(at) + [f"{name} is not signed" for name in unsigned]


class VerifyForged(Keys, DamagedSet):
    """A set that somebody has made to agree with itself is never accepted, whatever fails."""

    name = "verify-forged"

    def go_on(self):
        self.forge(self.base / "backup/daily" / DAYS[1])

    def argv(self, at):
        return [*super().argv(at), "--verify"]


class RestoreForged(VerifyForged):
    name = "restore-forged"

    def argv(self, at):
        return DamagedSet.argv(self, at)


class PullForged(Keys, Pull):
    name = "pull-forged"
    stores_sets = False
    good = (1, 2, 3)
    never = (0,)

    def __init__(self, programs, base):
        super().__init__(programs, base)
        self.forge(self.base / "complete/daily" / DAYS[1])

    def held(self, at):
        return ["what came is called a set"] if (at / "pulled/checksums.sha256").exists() else []

    def done(self, at):
        return []


SIGNED = [BackupSigned, VerifyForged, RestoreForged, PullForged]
