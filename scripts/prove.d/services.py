"""The private servers of a campaign, and the cases that need one: MariaDB, clamd, S3."""

import base64
import multiprocessing
import os
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path

from cases import DAYS, Case, Push, records_of
from promises import contents, damage, difference, digest, sets_in


class Services:
    """Starts what is asked for once, and stops it by process id. Their programs come from scripts/lib."""

    def __init__(self, scripts, programs, work, workers):
        self.scripts, self.work, self.workers = scripts, work, workers
        self.moto = programs.parent / "s3-venv/bin/moto_server"
        self.running = []
        self.databases = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def by_shell(self, name, commands):
        """A server that a function of scripts/lib starts; the last line that is printed is its process id."""
        script = f'. "{self.scripts}/lib/{name}.sh"\n{commands}'
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], stdout=subprocess.PIPE, check=True,
                              cwd=self.scripts.parent)
        self.running.append(int(done.stdout.split()[-1]))

    def mariadb(self):
        """A server for each worker."""
        for number in range(len(self.databases), self.workers):
            directory = self.work / f"mariadb-{number}"
            self.by_shell("mariadb", f'mariadb_start "{directory}"; echo "$MARIADB_PID"')
            self.databases.append(directory / "s.sock")
        return self.databases

    def clamd(self):
        directory = self.work / "clamd"
        lines = '"AlertEncrypted yes" "AlertExceedsMax yes"'
        self.by_shell("clamd", f'clamd_start "{directory}" {lines}; echo "$CLAMD_PID"')
        return directory / "clamd.sock"

    def s3(self):
        """moto, which keeps everything in memory."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen([self.moto, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.running.append(server.pid)
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/proof", method="PUT"))
                return url
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("moto does not come up")


def sql(server, statements):
    done = subprocess.run(["mariadb", "--no-defaults", "-uroot", "-S", server, "--batch", "--skip-column-names"],
                          input=statements.encode(), capture_output=True, check=True)
    return done.stdout.decode()


OLD = """
CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(40), INDEX (name)) ENGINE=InnoDB;
INSERT INTO users VALUES (1, 'alice'), (2, 'bob'), (3, 'carol');
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, text VARCHAR(40)) ENGINE=InnoDB;
CREATE VIEW names AS SELECT name FROM users;
CREATE TRIGGER noted AFTER INSERT ON users FOR EACH ROW INSERT INTO log (text) VALUES (NEW.name);
CREATE FUNCTION doubled(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n;
"""
NEWER = "INSERT INTO users VALUES (4, 'dave'); DELETE FROM users WHERE id = 1; CREATE TABLE newer (id INT PRIMARY KEY);"


class Databases(Case):
    """Each worker has a server of its own, since a try changes it."""

    def __init__(self, programs, base, served):
        super().__init__(programs, base)
        self.servers = served.mariadb()
        (self.base / "backup").mkdir()
        self.reset()
        self.change()
        self.new = self.state()
        self.run(self.base, self.tool("mail-backup"), "--daily", "--date", DAYS[0], "-q")
        self.reset()
        sql(self.server(), f"USE mailserver; {NEWER}")
        self.old = self.state()

    def server(self):
        """That of this process: the pool numbers its workers from 1."""
        identity = multiprocessing.current_process()._identity
        return self.servers[(identity[0] if identity else 0) % len(self.servers)]

    def reset(self):
        left = sql(self.server(), "SHOW DATABASES").split()
        ours = ("mysql", "sys", "information_schema", "performance_schema")
        drops = "".join(f"DROP DATABASE `{name}`;" for name in left if name not in ours)
        sql(self.server(), f"{drops} CREATE DATABASE mailserver; USE mailserver; {OLD}")

    def change(self):
        sql(self.server(), "USE mailserver; UPDATE users SET name = 'alice.saved' WHERE id = 1;")

    def state(self):
        """What the server has, as the stock program dumps it, but for times."""
        done = subprocess.run(["mariadb-dump", "--no-defaults", "-uroot", "-S", self.server(),
                               "--databases", "mailserver", "--routines", "--triggers", "--events",
                               "--skip-comments", "--skip-dump-date"], capture_output=True)
        return done.stdout.decode()

    def settings(self, at):
        return {"BACKUP_ROOT": f"{at}/backup", "MYSQL_SOCKET": str(self.server()), "MYSQL_USER": "root",
                "BACKUP_COMPONENTS": "mysql"}


class BackupDatabase(Databases):
    name = "backup-database"

    def start(self, at):
        (at / "backup").mkdir()
        if self.state() != self.old:
            self.reset()
            sql(self.server(), f"USE mailserver; {NEWER}")

    def argv(self, at):
        return [self.tool("mail-backup"), "--daily", "--date", DAYS[1], "--format", "jsonl", "-q"]

    def held(self, at):
        found = []
        for path in sets_in(at / "backup"):
            found += damage(path)
            found += self.is_whole(path)
        if self.state() != self.old:
            found.append("the database itself was changed")
        return found

    def is_whole(self, path):
        """It loads by the stock client, and what is there then is what was there."""
        dump = path / "mysql/mailserver.sql.zst"
        if not dump.exists():
            return [f"{path.name} has no dump"]
        text = subprocess.run(["zstd", "-dcq", dump], capture_output=True, check=True).stdout.decode()
        if "-- Dump completed" not in text.splitlines()[-1]:
            return [f"{path.name}: the dump is cut"]
        rows = [line for line in text.splitlines() if "alice" in line or "dave" in line or "newer" in line]
        return [] if len(rows) >= 2 else [f"{path.name}: rows are missing from the dump"]

    def done(self, at):
        return [] if (at / "backup/daily" / DAYS[1]).exists() else ["no new set"]


class RestoreDatabase(Databases):
    name = "restore-database"

    def start(self, at):
        subprocess.run(["cp", "-a", self.base / "backup", at / "backup"], check=True)
        self.reset()
        sql(self.server(), f"USE mailserver; {NEWER}")

    def argv(self, at):
        return [self.tool("mail-restore"), "--from", f"daily/{DAYS[0]}", "--format", "jsonl", "-q"]

    def held(self, at):
        found = []
        for path in sets_in(at / "backup"):
            found += damage(path)
        return found

    def refused(self, at, outcome):
        now = self.state()
        if now == self.old:
            return []
        said = outcome.stderr.decode()
        if any(words in said for words in ("could not be undone", "done all the same", "databases are in place")):
            return []
        return [f"exit {outcome.code}, but the database is not what it was, and stderr does not say so: {said}"]

    def done(self, at):
        return [] if self.state() == self.new else ["the database is not what was saved"]

    def left(self, at):
        return [name for name in sql(self.server(), "SHOW DATABASES").split() if name.startswith("mail_restore")]


class Quarantine(Case):
    """mail-scan over live mail, of which two messages are infected."""

    name = "scan-quarantine"
    good = (1,)
    never = (0,)

    def __init__(self, programs, base, served):
        super().__init__(programs, base)
        self.clamd = served.clamd()
        self.make_mail(self.base / "mail", messages=12)
        eicar = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD" + "-ANTIVIRUS-TEST-FILE!$H+H*"
        self.infected = set()
        for number, box in enumerate(sorted((self.base / "mail").glob("*/*"))[:2]):
            path = box / f"cur/1767000000.M{number}P1.mx:2,S"
            attached = base64.b64encode(eicar.encode()).decode()
            path.write_text(f"From: a@example.org\nSubject: {number}\nMIME-Version: 1.0\n"
                            "Content-Type: application/octet-stream\n"
                            f"Content-Transfer-Encoding: base64\n\n{attached}\n")
            self.infected.add(digest(path))
        self.mail = contents(self.base / "mail")

    def start(self, at):
        subprocess.run(["cp", "-a", self.base / "mail", at / "mail"], check=True)
        (at / "quarantine").mkdir(mode=0o700)

    def argv(self, at):
        return [self.tool("mail-scan"), f"{at}/mail", "--quarantine", f"{at}/quarantine",
                "--clamd", f"unix:{self.clamd}", "--jobs", "2", "--format", "jsonl", "-q"]

    def is_good_again(self, outcome):
        """Nothing is infected any more when the run before has moved all."""
        return outcome.code == 0 or self.is_good(outcome)

    def held(self, at):
        live, kept = contents(at / "mail"), contents(at / "quarantine")
        found = [f"{path} is changed or lost" for path, content in self.mail.items()
                 if content not in self.infected and live.get(path) != content]
        everywhere = set(live.values()) | set(kept.values())
        return found + [f"the infected message {one} is nowhere" for one in self.infected - everywhere]

    def is_good(self, outcome):
        records = records_of(outcome.stdout)
        failed = [one for one in records if one["type"] == "error" or one["data"].get("status") == "unscanned"]
        return outcome.code == 1 and not failed

    def done(self, at):
        live, kept = contents(at / "mail"), contents(at / "quarantine")
        found = [f"the infected message {one} is still live" for one in self.infected & set(live.values())]
        missed = self.infected - set(kept.values())
        return found + [f"the infected message {one} is not in quarantine" for one in missed]


class Bucket(Push):
    """To and from S3: a prefix of its own for each try."""

    stores_sets = False

    def __init__(self, programs, base, served):
        self.url = served.s3()
        self.prefixes = {}
        super().__init__(programs, base)
        self.stock = uuid.uuid4().hex

    def settings(self, at):
        return super().settings(at) | {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret",
                                       "AWS_ENDPOINT_URL_S3": self.url, "AWS_REGION": "us-east-1",
                                       "AWS_EC2_METADATA_DISABLED": "true"}

    def start(self, at):
        subprocess.run(["cp", "-a", self.base / "backup", at / "backup"], check=True)

    def left(self, at):
        return []

    def bucket(self, at):
        return f"s3://proof/{self.base.name}-{at.name}"

    def push(self, at, day):
        return [self.tool("mail-s3sync"), "push", "--set", f"daily/{day}", "--to", self.bucket(at), "--attempts", "2",
                "--format", "jsonl", "-q"]


class PushBucket(Bucket):
    name = "push-s3"

    def pulled(self, at):
        """The set as the store gives it: None when it is not there, else its files, and whether they are whole."""
        target = at / "pulled"
        subprocess.run(["rm", "-rf", target], check=True)
        target.mkdir()
        done = subprocess.run([self.tool("mail-s3sync"), "pull", "--set", f"daily/{DAYS[1]}", "--from", self.bucket(at),
                               "--to", target, "-q"], env=self.env(at), capture_output=True)
        return done, contents(target)

    def held(self, at):
        found = []
        if contents(at / "backup/daily" / DAYS[1]) != self.second:
            found.append("the set itself was changed")
        done, files = self.pulled(at)
        if done.returncode == 0 and files != self.second:
            found.append(f"the bucket has another set: {difference(files, self.second)}")
        if done.returncode != 0 and "checksums.sha256" in files:
            found.append(f"the bucket has half a set: {done.stderr.decode()}")
        return found

    def done(self, at):
        done, files = self.pulled(at)
        return [] if files == self.second else [f"the set is not in the bucket: {done.stderr.decode()}"]


class PullBucket(Bucket):
    name = "pull-s3"

    def __init__(self, programs, base, served):
        super().__init__(programs, base, served)
        self.run(self.base, *self.push(self.base, DAYS[1]))

    def bucket(self, at):
        return f"s3://proof/{self.base.name}"

    def start(self, at):
        (at / "pulled").mkdir()

    def argv(self, at):
        return [self.tool("mail-s3sync"), "pull", "--set", f"daily/{DAYS[1]}", "--from", self.bucket(at),
                "--attempts", "2", "--to", f"{at}/pulled", "--format", "jsonl", "-q"]

    def held(self, at):
        return [f"{path} has its name and not its content" for path, content in contents(at / "pulled").items()
                if self.second.get(path) != content]

    def done(self, at):
        there = contents(at / "pulled")
        return [] if there == self.second else [f"pulled is not the set: {difference(there, self.second)}"]


SERVED = [BackupDatabase, RestoreDatabase, Quarantine, PushBucket, PullBucket]
