"""A system that refuses executable memory, for the process that asks for it."""

from __future__ import annotations

import ctypes
import errno
import struct

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_SYS_MPROTECT, _PROT_EXEC = 10, 4  # x86-64


def refuse_executable_memory() -> None:
    """From here on, mprotect() of this thread and the threads that it starts refuses PROT_EXEC with EACCES, as SELinux
    does without the right "execmem". Cannot be undone. Raises OSError where the kernel offers no filters."""
    load, jump_equal, jump_set, ret = 0x20, 0x15, 0x45, 0x06  # of classic BPF, on struct seccomp_data
    code = [
        (load, 0, 0, 0),  # the system call's number
        (jump_equal, 0, 3, _SYS_MPROTECT),
        (load, 0, 0, 16 + 2 * 8),  # low half of its third argument
        (jump_set, 0, 1, _PROT_EXEC),
        (ret, 0, 0, _ERRNO | errno.EACCES),
        (ret, 0, 0, _ALLOW),
    ]
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    filter_code = ctypes.create_string_buffer(packed)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filter_code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_void_p(ctypes.addressof(program)), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, "prctl: " + errno.errorcode.get(number, str(number)))
