"""The runs that harm is done to: what each starts from, what it promises, and what its end must be.

A case is made once, in a directory of its own; each try works on a copy of what the run may change.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from promises import contents, damage, difference, facts, hidden_in, mail_of, sets_in

DAYS = ["2026-11-20", "2026-11-21", "2026-11-22"]
TODAY = "2026-11-23"


def copy(source, target):
    """All of a tree, hard links, times and owners too."""
    subprocess.run(["cp", "-a", source, target], check=True)


class Case:
    """One run of one tool over a small server."""

    name = ""
    # Exit codes with which the run says that all is well; the only ones after which `done` is asked.
    good = (0,)
    # Exit codes that are a false answer here, whatever happened.
    never = ()
    # Whether it stores sets, and changes nothing else: what power loss is tried with.
    stores_sets = False

    def __init__(self, programs, base):
        self.programs = programs
        self.base = Path(base) / self.name
        self.base.mkdir(parents=True)

    def tool(self, name):
        return str(self.programs / name)

    def start(self, at):
        """Fills the directory of a try."""

    def argv(self, at):
        raise NotImplementedError

    def settings(self, at):
        return {}

    def env(self, at):
        return {"PATH": os.environ["PATH"], "HOME": str(at), "TZ": "UTC", "LC_ALL": "C.UTF-8"} | self.settings(at)

    def held(self, at):
        """What must hold whatever became of the run: its violations."""
        return []

    def refused(self, at, outcome):
        """What must hold beside that after a run that ended with an error."""
        return []

    def done(self, at):
        """What must hold after a run that ended well."""
        return []

    def settled(self, at):
        """What must hold beside that after the next run."""
        return []

    def left(self, at):
        """What the run left that the next one has to clear. A run that ends well may, if it says so."""
        return []

    def is_good(self, outcome):
        return outcome.code in self.good

    def is_good_again(self, outcome):
        """The same of the run after it."""
        return self.is_good(outcome)

    def run(self, at, *argv):
        """A run of which nothing is asked but that it ends well."""
        done = subprocess.run(argv, env=self.env(at), capture_output=True, cwd=at)
        if done.returncode not in self.good and done.returncode != 0:
            raise RuntimeError(f"{self.name}: {argv}: {done.returncode}: {done.stderr.decode()}")
        return done

    def make_mail(self, directory, messages=24):
        self.run(self.base, self.tool("make-maildir"), directory, "--messages", str(messages), "--mailboxes", "2",
                 "--mean-bytes", "1500", "--seed", "7")

    def let_a_day_pass(self, directory, day):
        self.run(self.base, self.tool("make-maildir"), directory, "--age", str(day), "--mean-bytes", "1500",
                 "--new", "12", "--flag", "12", "--delete", "12", "--move", "6", "--where", "uniform")


class Backup(Case):
    """mail-backup. The source is nobody's copy: inodes and times are what incremental runs go by."""

    stores_sets = True
    days = DAYS[:1]
    kind = ["--daily", "--date", TODAY]
    replaces = ()  # sets that the run may remove or replace
    flags = ()

    def __init__(self, programs, base):
        super().__init__(programs, base)
        (self.base / "backup").mkdir()
        self.make_mail(self.base / "mail")
        self.make_rest()
        for number, day in enumerate(self.days):
            if number:
                self.let_a_day_pass(self.base / "mail", number)
            self.run(self.base, self.tool("mail-backup"), "--daily", "--date", day, "-q")
        self.change()
        self.source = facts(self.base / "mail")
        self.before = {path.name: contents(path) for path in sets_in(self.base / "backup")}

    def make_rest(self):
        pass

    def change(self):
        self.let_a_day_pass(self.base / "mail", 20)

    def settings(self, at):
        return {"BACKUP_ROOT": f"{at}/backup", "MAIL_DATA_DIR": f"{self.base}/mail", "BACKUP_COMPONENTS": "mailboxes"}

    def start(self, at):
        copy(self.base / "backup", at / "backup")

    def argv(self, at):
        return [self.tool("mail-backup"), *self.kind, *self.flags, "--format", "jsonl", "-q"]

    def held(self, at):
        found = []
        sets = {path.name: path for path in sets_in(at / "backup")}
        for name, content in self.before.items():
            if name not in self.replaces and (name not in sets or contents(sets[name]) != content):
                found.append(f"the earlier set {name} is not what it was")
        for path in sets.values():
            found += damage(path)
            if self.before.get(path.name) != contents(path):
                found += self.is_the_source(path)
        found += self.latest(at, sets)
        if facts(self.base / "mail") != self.source:
            found.append("the mail itself was changed")
        return found

    def latest(self, at, sets):
        link = at / "backup/latest"
        if not os.path.lexists(link):
            return ["latest is gone"] if self.before else []
        leads_to = os.path.basename(os.readlink(link))
        return [] if leads_to in sets else [f"latest leads to {leads_to}, which is no set"]

    def is_the_source(self, path):
        mail = mail_of(path)
        return [] if mail == self.source else [f"{path.name} is not the mail: {difference(mail, self.source)}"]

    def done(self, at):
        new = [path for path in sets_in(at / "backup") if self.before.get(path.name) != contents(path)]
        return [] if new else ["no new set"]

    def left(self, at):
        root = at / "backup"
        return hidden_in(root, root / "daily", root / "weekly", root / "hourly")


class BackupFirst(Backup):
    name = "backup-first"
    days = ()


class BackupDaily(Backup):
    name = "backup-daily"
    days = DAYS[:2]


class BackupUnchanged(Backup):
    name = "backup-unchanged"

    def change(self):
        pass


class BackupAgain(Backup):
    name = "backup-again"
    days = [DAYS[0], TODAY]
    replaces = (TODAY,)

    def held(self, at):
        found = super().held(at)
        if not (at / "backup/daily" / TODAY).exists():
            found.append("the set of the day went before its successor came")
        return found


class BackupPrune(Backup):
    """Three old sets are over age, one by one."""

    name = "backup-prune"
    days = ["2026-09-01", "2026-09-02", DAYS[2]]
    replaces = days[:2]

    def settings(self, at):
        return super().settings(at) | {"DAILY_RETENTION_DAYS": "2"}

    def settled(self, at):
        """A run that cannot read a set keeps it; the next one removes it."""
        names = [path.name for path in sets_in(at / "backup")]
        return [] if names == [DAYS[2], TODAY] else [f"retention left {names}"]


class BackupWeekly(Backup):
    name = "backup-weekly"
    kind = ["--weekly", "--date", TODAY]

    def __init__(self, programs, base):
        super().__init__(programs, base)
        self.run(self.base, self.tool("mail-backup"), "--weekly", "--date", "2026-11-15", "-q")
        self.let_a_day_pass(self.base / "mail", 21)
        self.source = facts(self.base / "mail")
        self.before = {path.name: contents(path) for path in sets_in(self.base / "backup")}


class BackupHourly(Backup):
    name = "backup-hourly"
    kind = ["--hourly"]


class BackupTrees(Backup):
    """Configuration, certificates and keys beside the mail, and the files of the Compose project."""

    name = "backup-trees"

    def make_rest(self):
        make_trees(self.base)

    def settings(self, at):
        return super().settings(at) | {"BACKUP_COMPONENTS": "mailboxes config ssl dkim"} | trees_of(self.base)

    def is_the_source(self, path):
        found = super().is_the_source(path)
        for archive, tree in (("config/config", "config"), ("ssl/certbot", "certbot"), ("dkim/dkim", "opendkim")):
            listed = subprocess.run(["tar", "--zstd", "-d", "-f", path / f"{archive}.tar.zst", "-C", self.base / tree],
                                    capture_output=True)
            if listed.returncode != 0:
                found.append(f"{path.name}: {archive} is not the source: {listed.stdout.decode()[:200]}")
        return found


def make_trees(base):
    """What a server has beside its mail."""
    for name, text in (
        ("config/postfix/main.cf", "myhostname = mx.example.com\n"),
        ("config/dovecot/dovecot.conf", "mail_location = maildir:~/\n"),
        ("certbot/live/mx.example.com/fullchain.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("opendkim/keys/example.com/mail.private", "-----BEGIN PRIVATE KEY-----\n"),
        ("docker-compose.yml", "services: {}\n"),
        (".env", "DOMAIN=example.com\n"),
    ):
        path = Path(base, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def trees_of(base):
    return {
        "CONFIG_DIR": f"{base}/config", "SSL_DIR": f"{base}/certbot", "DKIM_DIR": f"{base}/opendkim",
        "DOCKER_COMPOSE_FILE": f"{base}/docker-compose.yml", "ENV_FILE": f"{base}/.env",
    }


class Restore(Case):
    """mail-restore of everything but databases, onto a server that went on since."""

    name = "restore-whole"
    targets = ("mail", "config", "certbot", "opendkim")

    def __init__(self, programs, base):
        super().__init__(programs, base)
        (self.base / "backup").mkdir()
        self.make_mail(self.base / "mail")
        make_trees(self.base)
        for number, day in enumerate(DAYS[:2]):
            if number:
                self.let_a_day_pass(self.base / "mail", number)
            self.run(self.base, self.tool("mail-backup"), "--daily", "--date", day, "-q")
        self.new = {target: facts(self.base / target) for target in self.targets}
        self.go_on()
        self.old = {target: facts(self.base / target) for target in self.targets}

    def go_on(self):
        self.let_a_day_pass(self.base / "mail", 20)
        for name in ("config/postfix/main.cf", "certbot/live/mx.example.com/fullchain.pem",
                     "opendkim/keys/example.com/mail.private", "docker-compose.yml", ".env"):
            (self.base / name).write_text("newer\n")
        (self.base / "config/new.cf").write_text("new\n")

    def settings(self, at):
        return {"BACKUP_ROOT": f"{at}/backup", "MAIL_DATA_DIR": f"{at}/mail",
                "BACKUP_COMPONENTS": "mailboxes config ssl dkim"} | trees_of(at)

    def start(self, at):
        for name in ("backup", *self.targets, "docker-compose.yml", ".env"):
            copy(self.base / name, at / name)

    def argv(self, at):
        return [self.tool("mail-restore"), "--from", f"daily/{DAYS[1]}", "--format", "jsonl", "-q"]

    def held(self, at):
        found = []
        for path in sets_in(at / "backup"):
            found += damage(path)
        for target in self.targets:
            live = facts(at / target)
            if live not in (self.old[target], self.new[target]):
                found.append(f"{target} is neither old nor new: {difference(live, self.new[target])}")
            kept = [at / target, *at.glob(f"{target}.bak.*"), *at.glob(f".{target}.restoring.*")]
            if not any(facts(tree) == self.old[target] for tree in kept):
                found.append(f"the old {target} is nowhere")
        return found

    def refused(self, at, outcome):
        changed = [target for target in self.targets if facts(at / target) != self.old[target]]
        said = outcome.stderr.decode()
        if "done all the same" in said:
            return []
        return [f"exit {outcome.code}, but {target} is new, and stderr does not say so: {said}"
                for target in changed if str(at / target) not in said]

    def done(self, at):
        found = [f"{target} is not what was saved: {difference(facts(at / target), self.new[target])}"
                 for target in self.targets if facts(at / target) != self.new[target]]
        for name, text in (("docker-compose.yml", "services: {}\n"), (".env", "DOMAIN=example.com\n")):
            if (at / name).read_text() != text:
                found.append(f"{name} is not what was saved")
        return found

    def left(self, at):
        return list(at.glob(".*.restoring.*"))


class RestoreTo(Restore):
    name = "restore-to"

    def argv(self, at):
        return [*super().argv(at), "--to", f"{at}/to"]

    def held(self, at):
        found = super().held(at)
        for target, component in zip(self.targets, ("mailboxes", "config", "ssl", "dkim")):
            tree = at / "to" / component
            there = facts(tree) if tree.exists() else {}
            wanted = self.new[target]
            if there and not wanted.items() <= there.items():
                found.append(f"to/{component} is half there: {difference(there, wanted)}")
        return found

    def refused(self, at, outcome):
        return []

    def prepare_again(self, at):
        """It goes into a directory that is not there or empty."""
        shutil.rmtree(at / "to", ignore_errors=True)

    def done(self, at):
        found = []
        for target, component in zip(self.targets, ("mailboxes", "config", "ssl", "dkim")):
            tree = at / "to" / component
            there = facts(tree) if tree.exists() else {}
            if not self.new[target].items() <= there.items():
                found.append(f"to/{component} is not what was saved: {difference(there, self.new[target])}")
        return found

    def left(self, at):
        return list((at / "to").glob(".*"))


class RestoreMailbox(Restore):
    """Messages of one mailbox, added to the live one that lost some."""

    name = "restore-mailbox"

    def go_on(self):
        self.mailbox = sorted((self.base / "mail").glob("*/*"))[0].relative_to(self.base / "mail")
        saved = self.messages(self.base / "mail")
        self.wanted = set(saved.values())
        for path in sorted(saved)[::3]:
            (self.base / "mail" / self.mailbox / path).unlink()
        self.kept = self.messages(self.base / "mail")

    def messages(self, mail):
        return {path: content for path, content in contents(mail / self.mailbox).items()
                if Path(path).parent.name in ("cur", "new")}

    def argv(self, at):
        domain, user = self.mailbox.parts
        return [*super().argv(at), "--mailbox", f"{user}@{domain}"]

    def held(self, at):
        there = self.messages(at / "mail")
        found = [f"the message {path} was changed or lost"
                 for path, content in self.kept.items() if there.get(path) != content]
        found += [f"half a message: {path}" for path, content in there.items() if content not in self.wanted]
        if len(set(there.values())) != len(there):
            found.append("a message is there twice")
        return found

    def refused(self, at, outcome):
        return []

    def done(self, at):
        missing = self.wanted - set(self.messages(at / "mail").values())
        return [f"{len(missing)} messages were not added"] if missing else []


class DamagedSet(Restore):
    """A set with a flipped byte is never called whole, whatever fails while it is looked at."""

    good = (1, 2, 3)
    never = (0,)

    def go_on(self):
        segment = sorted((self.base / "backup/daily" / DAYS[1] / "mailboxes").rglob("0001.tar.zst"))[-1]
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)

    def held(self, at):
        return [f"{target} was changed" for target in self.targets if facts(at / target) != self.old[target]]

    def refused(self, at, outcome):
        return []

    def done(self, at):
        return []

    def left(self, at):
        return []


class VerifyDamaged(DamagedSet):
    name = "verify-damaged"

    def argv(self, at):
        return [*super().argv(at), "--verify"]


class DryRunDamaged(DamagedSet):
    name = "dry-run-damaged"

    def argv(self, at):
        return [*super().argv(at), "--dry-run"]


class CheckDamaged(DamagedSet):
    """With the state that mail-check keeps from run to run."""

    name = "check-damaged"

    def argv(self, at):
        return [self.tool("mail-check"), "set", f"{at}/backup/daily/{DAYS[1]}", "--state", f"{at}/state",
                "--format", "jsonl", "-q"]


class Push(Case):
    """mail-s3sync to another disk, which has an earlier set already."""

    name = "push-file"
    stores_sets = True

    def __init__(self, programs, base):
        super().__init__(programs, base)
        (self.base / "backup").mkdir()
        (self.base / "store").mkdir()
        self.make_mail(self.base / "mail")
        for number, day in enumerate(DAYS[:2]):
            if number:
                self.let_a_day_pass(self.base / "mail", number)
            self.run(self.base, self.tool("mail-backup"), "--daily", "--date", day, "-q")
        self.run(self.base, *self.push(self.base, DAYS[0]))
        self.first = contents(self.base / "backup/daily" / DAYS[0])
        self.second = contents(self.base / "backup/daily" / DAYS[1])

    def settings(self, at):
        return {"BACKUP_ROOT": f"{at}/backup", "MAIL_DATA_DIR": f"{self.base}/mail", "BACKUP_COMPONENTS": "mailboxes"}

    def start(self, at):
        copy(self.base / "backup", at / "backup")
        copy(self.base / "store", at / "store")

    def push(self, at, day):
        return [self.tool("mail-s3sync"), "push", "--set", f"daily/{day}", "--to", f"file://{at}/store", "--format",
                "jsonl", "-q"]

    def argv(self, at):
        return self.push(at, DAYS[1])

    def held(self, at):
        found = []
        for path in Path(at / "store").rglob("checksums.sha256"):
            found += damage(path.parent)
        there = {path.parent.name for path in Path(at / "store").rglob("checksums.sha256")}
        if DAYS[0] not in there:
            found.append("the earlier set is gone from the store")
        if contents(at / "backup/daily" / DAYS[1]) != self.second:
            found.append("the set itself was changed")
        return found

    def done(self, at):
        found = []
        for day, wanted in ((DAYS[0], self.first), (DAYS[1], self.second)):
            copied = contents(at / "store/daily" / day) if (at / "store/daily" / day).exists() else {}
            if copied != wanted:
                found.append(f"the copy of {day} is not the set: {difference(copied, wanted)}")
        return found

    def left(self, at):
        return hidden_in(at / "store", at / "store/daily")


class Pull(Push):
    name = "pull-file"

    def left(self, at):
        return []

    def start(self, at):
        copy(self.base / "complete", at / "store")
        (at / "pulled").mkdir()

    def __init__(self, programs, base):
        super().__init__(programs, base)
        self.run(self.base, *self.push(self.base, DAYS[1]))
        os.rename(self.base / "store", self.base / "complete")

    def argv(self, at):
        return [self.tool("mail-s3sync"), "pull", "--set", f"daily/{DAYS[1]}", "--from", f"file://{at}/store", "--to",
                f"{at}/pulled", "--format", "jsonl", "-q"]

    def held(self, at):
        there = {path: content for path, content in contents(at / "pulled").items()
                 if not any(part.startswith(".") for part in Path(path).parts)}
        return [f"{path} has its name and not its content" for path, content in there.items()
                if self.second.get(path) != content]

    def done(self, at):
        there = contents(at / "pulled")
        return [] if there == self.second else [f"pulled is not the set: {difference(there, self.second)}"]


FILES = [BackupFirst, BackupDaily, BackupUnchanged, BackupAgain, BackupPrune, BackupWeekly, BackupHourly, BackupTrees,
         Restore, RestoreTo, RestoreMailbox, VerifyDamaged, DryRunDamaged, CheckDamaged, Push, Pull]


def records_of(stdout):
    """The records that a run wrote; the last may be cut."""
    records = []
    for line in stdout.decode(errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def end_record(stdout):
    """What the last record of a run says of its exit, if there is one."""
    records = records_of(stdout)
    return records[-1]["data"].get("exit") if records and records[-1]["type"] == "end" else None
