"""Numbers of the system calls that a decoder may not make, on the processors whose numbers are known.

Each is written NAME:NUMBER ON x86_64:NUMBER ON aarch64, with "-" where a processor has none.
"""

from __future__ import annotations

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Processors, and what the kernel calls them in the data of a filter."""
X32 = 0x40000000
"""Bit of the numbers of x86_64's second set of calls."""

_DENIED = {
    "no network": """
        socket:41:198 socketpair:53:199 connect:42:203 bind:49:200 listen:50:201 accept:43:202 accept4:288:242
    """,
    "no other program, no process of its own": """
        execve:59:221 execveat:322:281 fork:57:- vfork:58:- setsid:112:157 setpgid:109:154 unshare:272:97 setns:308:268
    """,
    "no access to other processes": """
        ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 process_madvise:440:440 pidfd_open:434:434
        pidfd_getfd:438:438 pidfd_send_signal:424:424 tkill:200:130 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240
        kcmp:312:272 move_pages:279:239 migrate_pages:256:238 setpriority:141:140 ioprio_set:251:30
        sched_setscheduler:144:119 sched_setparam:142:118 sched_setattr:314:274
    """,
    "nothing made, renamed, altered or removed in a file system": """
        creat:85:- truncate:76:45 mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35 rename:82:-
        renameat:264:38 renameat2:316:276 link:86:- linkat:265:37 symlink:88:- symlinkat:266:36 mknod:133:-
        mknodat:259:33 chmod:90:- fchmod:91:52 fchmodat:268:53 fchmodat2:452:452 chown:92:- fchown:93:55 lchown:94:-
        fchownat:260:54 utime:132:- utimes:235:- futimesat:261:- utimensat:280:88 setxattr:188:5 lsetxattr:189:6
        fsetxattr:190:7 removexattr:197:14 lremovexattr:198:15 fremovexattr:199:16 setxattrat:463:463
        removexattrat:466:466 file_setattr:469:469 memfd_create:319:279 memfd_secret:447:447
    """,
    "no memory or queue that outlives it": """
        shmget:29:194 shmat:30:196 shmctl:31:195 msgget:68:186 msgsnd:69:189 msgrcv:70:188 msgctl:71:187 semget:64:190
        semop:65:193 semctl:66:191 mq_open:240:180 mq_unlink:241:181
    """,
    "parts of the kernel that no decoder needs": """
        io_uring_setup:425:425 io_uring_enter:426:426 io_uring_register:427:427 bpf:321:280 perf_event_open:298:241
        userfaultfd:323:282 keyctl:250:219 add_key:248:217 request_key:249:218 mount:165:40 umount2:166:39
        pivot_root:155:41 chroot:161:51 open_tree:428:428 open_tree_attr:467:467 move_mount:429:429 fsopen:430:430
        fsconfig:431:431 fsmount:432:432 fspick:433:433 mount_setattr:442:442 name_to_handle_at:303:264
        open_by_handle_at:304:265 fanotify_init:300:262 quotactl:179:60 personality:135:92 swapon:167:224
        swapoff:168:225 reboot:169:142 init_module:175:105 finit_module:313:273 delete_module:176:106
        kexec_load:246:104 acct:163:89 settimeofday:164:170 clock_settime:227:112 clock_adjtime:305:266
        adjtimex:159:171
    """,
}
_JUDGED = """
    open:2:- openat:257:56 openat2:437:437 clone:56:220 clone3:435:435 kill:62:129 tgkill:234:131 prlimit64:302:261
    sched_setaffinity:203:122 fcntl:72:25 ioctl:16:29 seccomp:317:277 capget:125:90 capset:126:91
"""
"""Calls that are judged by their arguments, and those that the confinement itself makes."""


def denied(machine: str) -> list[int]:
    """Calls that are refused whatever their arguments."""
    return [number for group in _DENIED.values() for number in _numbers(group, machine).values()]


def judged(machine: str) -> dict[str, int]:
    """Calls by name, of which some are refused; without those that this processor does not have."""
    return _numbers(_JUDGED, machine)


def _numbers(text: str, machine: str) -> dict[str, int]:
    column = 1 + list(MACHINES).index(machine)
    words = (word.split(":") for word in text.split())
    return {word[0]: int(word[column]) for word in words if word[column] != "-"}
