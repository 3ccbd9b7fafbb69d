"""Runs a program under ptrace(2), stopped at each system call that matters, and does harm at the one that is asked for.

A seccomp filter stops it at these calls alone, so it is nearly as fast as ever. Calls of all its threads are counted
together. A call counts when it is on a file of the case, on a socket, or on a pipe; libraries and /proc do not count.
Linux on x86-64.
"""

import ctypes
import errno
import os
import signal
import struct
import time
from dataclasses import dataclass, field

# Numbers of asm/unistd_64.h.
CALLS = {
    0: "read", 1: "write", 2: "open", 4: "stat", 5: "fstat", 6: "lstat", 16: "ioctl", 17: "pread64", 18: "pwrite64",
    19: "readv", 20: "writev", 26: "msync", 40: "sendfile", 42: "connect", 44: "sendto", 45: "recvfrom",
    46: "sendmsg", 73: "flock", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 78: "getdents",
    82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat", 86: "link", 87: "unlink", 88: "symlink", 89: "readlink",
    90: "chmod", 91: "fchmod", 92: "chown", 93: "fchown", 94: "lchown", 188: "setxattr", 189: "lsetxattr",
    190: "fsetxattr", 191: "getxattr", 192: "lgetxattr", 193: "fgetxattr", 194: "listxattr", 195: "llistxattr",
    196: "flistxattr", 217: "getdents64", 257: "openat", 258: "mkdirat", 260: "fchownat", 262: "newfstatat",
    263: "unlinkat", 264: "renameat", 265: "linkat", 266: "symlinkat", 267: "readlinkat", 268: "fchmodat",
    277: "sync_file_range", 280: "utimensat", 285: "fallocate", 295: "preadv", 296: "pwritev", 306: "syncfs",
    316: "renameat2", 326: "copy_file_range", 332: "statx", 437: "openat2", 452: "fchmodat2",
}
# What each call is about: a descriptor, a path, a path below a descriptor; then the same of where it goes to.
DESCRIPTOR = {
    "read", "write", "fstat", "ioctl", "pread64", "pwrite64", "readv", "writev", "connect", "sendto", "recvfrom",
    "sendmsg", "flock", "fsync", "fdatasync", "ftruncate", "getdents", "fchmod", "fchown", "fsetxattr", "fgetxattr",
    "flistxattr", "getdents64", "sync_file_range", "fallocate", "preadv", "pwritev", "syncfs", "sendfile",
}
BELOW = {
    "openat", "mkdirat", "fchownat", "newfstatat", "unlinkat", "renameat", "linkat", "readlinkat", "fchmodat",
    "utimensat", "renameat2", "statx", "openat2", "fchmodat2",
}
READING = {
    "read", "stat", "fstat", "lstat", "pread64", "readv", "recvfrom", "getdents", "readlink", "getxattr", "lgetxattr",
    "fgetxattr", "listxattr", "llistxattr", "flistxattr", "getdents64", "newfstatat", "readlinkat", "preadv", "statx",
    "connect", "flock",
}
OPENING = {"open", "openat", "openat2", "creat"}
FICLONE = 0x40049409

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

TRACEME, CONT, GETREGS, SETREGS, SETOPTIONS = 0, 7, 12, 13, 0x4200
# Follow fork, vfork, clone and exec; stop where seccomp says; end with the tracer.
OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
EVENT_SECCOMP = 7
WALL = 0x40000000
# Places of user_regs_struct (sys/user.h).
RAX, ORIG_RAX, RDI, RSI, RDX, R10, R8, R9 = 10, 15, 14, 13, 12, 7, 9, 8


@dataclass
class Call:
    """A system call that is about to be made."""

    pid: int
    name: str
    args: tuple
    number: int = 0  # among those that count, from 1
    path: str = ""

    def changes(self):
        """Whether it can change a file, a name, or what another program knows."""
        if self.name in OPENING:
            return self.creates()
        if self.name == "ioctl":
            return self.args[1] & 0xFFFFFFFF == FICLONE
        return self.name not in READING

    def creates(self):
        """Whether it opens with O_CREAT or O_TRUNC."""
        return bool(self.flags() & (os.O_CREAT | os.O_TRUNC))

    def flags(self):
        if self.name == "openat2":
            return struct.unpack("Q", memory(self.pid, self.args[2], 8))[0]
        return {"open": self.args[1], "openat": self.args[2], "creat": os.O_CREAT}[self.name] & 0xFFFFFFFF


@dataclass
class Harm:
    """What is done to a run: at which call, and what. `kind` is a name of CALLS, or "change" for any that changes."""

    kind: str
    number: int
    what: str  # "kill", "short", or a name of errno
    for_ever: bool = False

    def hits(self, count):
        return count == self.number or (self.for_ever and count > self.number)


@dataclass
class Outcome:
    code: int  # as shells count: 128 and the signal
    stdout: bytes
    stderr: bytes
    counts: dict = field(default_factory=dict)
    done: bool = False  # whether the harm was done
    where: str = ""  # at which call
    hung: bool = False


def memory(pid, address, length):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        mem.seek(address)
        return mem.read(length)


def text_at(pid, address):
    """A string of the program, up to its NUL."""
    found = b""
    while b"\0" not in found and len(found) < 8192:
        # Never across the end of a page: the next one may not be there.
        found += memory(pid, address + len(found), 4096 - (address + len(found)) % 4096)
    return os.fsdecode(found.split(b"\0", 1)[0])


def descriptor_path(pid, descriptor):
    if descriptor & 0xFFFFFFFF == 0xFFFFFF9C:  # AT_FDCWD
        return os.readlink(f"/proc/{pid}/cwd")
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor & 0xFFFFFFFF}")
    except OSError:
        return ""


def path_below(pid, descriptor, address):
    name = text_at(pid, address) if address else ""
    return name if name.startswith("/") else os.path.join(descriptor_path(pid, descriptor), name)


def path_of(pid, name, args):
    """The file that a call is about, or `socket:[...]` and the like."""
    if name in DESCRIPTOR:
        return descriptor_path(pid, args[0])
    if name == "copy_file_range":
        return descriptor_path(pid, args[2])
    if name in BELOW:
        return path_below(pid, args[0], args[1])
    if name == "symlinkat":
        return path_below(pid, args[1], args[2])
    if name == "symlink":
        return path_below(pid, 0xFFFFFF9C, args[1])
    return path_below(pid, 0xFFFFFF9C, args[0])


class Run:
    """A program that is traced to its end."""

    def __init__(self, argv, env, directory, stdin=b"", harm=None, watch=None, seconds=30):
        self.argv, self.env, self.directory, self.stdin = argv, env, os.path.realpath(directory), stdin
        self.harm, self.watch = harm, watch
        self.deadline = time.monotonic() + seconds
        self.counts = {}
        self.new = set()
        self.outcome = Outcome(0, b"", b"")

    def run(self):
        files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
        os.write(files[0], self.stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        self.main = os.fork()
        if self.main == 0:
            self._become(files)
        self._trace()
        self.outcome.stdout, self.outcome.stderr = (_content(file) for file in files[1:])
        for file in files:
            os.close(file)
        self.outcome.counts = self.counts
        return self.outcome

    def _become(self, files):
        try:
            for target, file in enumerate(files):
                os.dup2(file, target)
            os.chdir(self.directory)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            _ptrace(TRACEME, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _install_filter()
            os.execve(self.argv[0], self.argv, self.env)
        except BaseException as error:  # whatever it is, this is not the campaign any more
            os.write(2, f"{self.argv[0]}: {error}\n".encode())
        os._exit(127)

    def _trace(self):
        os.waitpid(self.main, WALL)
        _ptrace(SETOPTIONS, self.main, 0, OPTIONS)
        _ptrace(CONT, self.main, 0, 0)
        # A run that hangs is waited for by nobody: the alarm interrupts waitpid.
        previous = signal.signal(signal.SIGALRM, lambda *_: self._hang())
        signal.setitimer(signal.ITIMER_REAL, max(1, self.deadline - time.monotonic()), 5)
        try:
            while True:
                try:
                    pid, status = os.waitpid(-1, WALL)
                except ChildProcessError:
                    return
                self._stopped(pid, status)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)

    def _hang(self):
        self.outcome.hung = True
        os.kill(self.main, signal.SIGKILL)

    def _stopped(self, pid, status):
        if not os.WIFSTOPPED(status):
            if pid == self.main:
                self.outcome.code = os.waitstatus_to_exitcode(status)
                if self.outcome.code < 0:
                    self.outcome.code = 128 - self.outcome.code
            return
        delivered, event = os.WSTOPSIG(status), status >> 16
        if event == EVENT_SECCOMP:
            self._called(pid)
            delivered = 0
        elif event or (delivered == signal.SIGSTOP and pid != self.main and pid not in self.new):
            # A new thread begins with a stop.
            self.new.add(pid)
            delivered = 0
        _ptrace(CONT, pid, 0, delivered)

    def _called(self, pid):
        registers = (ctypes.c_ulonglong * 27)()
        if not _ptrace(GETREGS, pid, 0, ctypes.addressof(registers)):
            return
        args = tuple(registers[place] for place in (RDI, RSI, RDX, R10, R8, R9))
        call = Call(pid, CALLS.get(registers[ORIG_RAX], "?"), args)
        try:
            call.path = path_of(pid, call.name, args)
            if not self._counts(call):
                return
            changes = call.changes()
        except (OSError, ValueError):
            return  # it is being killed, or gave an address that is none
        self.counts[call.name] = self.counts.get(call.name, 0) + 1
        if changes:
            self.counts["change"] = self.counts.get("change", 0) + 1
        if self.watch:
            self.watch(call)
        if self.harm and (self.harm.kind == call.name or (self.harm.kind == "change" and changes)):
            if self.harm.hits(self.counts[self.harm.kind]):
                self._harm(call, registers)

    def _counts(self, call):
        path = call.path
        return path.startswith((self.directory, "socket:", "pipe:", "/memfd:stdout", "/memfd:stderr"))

    def _harm(self, call, registers):
        if not self.outcome.done:
            self.outcome.done = True
            self.outcome.where = f"{call.name} {call.path.removeprefix(self.directory)}"
        if self.harm.what == "kill":
            os.kill(self.main, signal.SIGKILL)
            return
        if self.harm.what == "short":
            # write(2) may always write less; so may the others of three arguments.
            registers[RDX] = max(1, registers[RDX] // 2) if registers[RDX] > 1 else registers[RDX]
        else:
            # seccomp(2): a call whose number is -1 is not made, and gives what is in the register.
            registers[ORIG_RAX] = (1 << 64) - 1
            registers[RAX] = (1 << 64) - getattr(errno, self.harm.what)
        _ptrace(SETREGS, call.pid, 0, ctypes.addressof(registers))


def _ptrace(request, pid, address, data):
    """False when the process is gone."""
    return _libc.ptrace(request, pid, address, data) != -1


def _content(file):
    os.lseek(file, 0, os.SEEK_SET)
    parts = []
    while part := os.read(file, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _install_filter():
    """Asks for a stop at each of CALLS, and lets all else pass."""
    numbers = sorted(CALLS)
    load, equal, give = 0x20, 0x15, 0x06
    program = struct.pack("HBBI", load, 0, 0, 0)
    for place, number in enumerate(numbers):
        program += struct.pack("HBBI", equal, len(numbers) - place, 0, number)
    program += struct.pack("HBBI", give, 0, 0, 0x7FFF0000)  # SECCOMP_RET_ALLOW
    program += struct.pack("HBBI", give, 0, 0, 0x7FF00000)  # SECCOMP_RET_TRACE
    buffer = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    wanted = Program(len(numbers) + 3, ctypes.addressof(buffer))
    zero = ctypes.c_ulong(0)
    if _libc.prctl(38, ctypes.c_ulong(1), zero, zero, zero) != 0:  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "prctl")
    if _libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(wanted), zero, zero) != 0:  # PR_SET_SECCOMP
        raise OSError(ctypes.get_errno(), "seccomp")
