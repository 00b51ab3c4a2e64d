"""Which instructions multiply bf16: what the CPU has, what the operating system allows and what TOYLM_BF16 asks for."""

import ctypes
import functools
import os
import sys

import llvmlite.binding as llvm

from .simd import FEATURES, HOST_BF16

MODES = ("avx512", "emulate", "tiles")
_AMX = {"amx-tile", "amx-bf16"}
_LINUX = sys.platform == "linux" and sys.maxsize > 2**32


def _host_amx():
    try:
        host = llvm.get_host_cpu_features()
    except RuntimeError:
        return False
    # Every CPU with AMX has AVX512_BF16 as well, which multiplies what fills no tile.
    return _LINUX and all(host.get(name) for name in (*_AMX, "avx512bf16"))


HOST_AMX = _host_amx()


def bf16_mode():
    """TOYLM_BF16: None where unset or empty, for the best that the CPU has, or one of MODES.

    "avx512": without AMX tiles, to compare. "emulate": the best as well, but where there is none, several float32 instructions in
    the place of one. "tiles": AMX code whatever the CPU is, for a test that traps it and executes it in software.
    """
    mode = os.environ.get("TOYLM_BF16") or None
    if mode not in (None, *MODES):
        raise ValueError(f"TOYLM_BF16 is {mode!r}; valid: {', '.join(MODES)}")
    return mode


def bf16_support():
    """How this process multiplies bf16: "native" by the CPU's instruction; "emulated" by several float32 ones, where TOYLM_BF16
    allows it; None where bf16 is refused. The one place that decides; raises ValueError where TOYLM_BF16 is none of its values."""
    allowed = bf16_mode() in ("emulate", "tiles")
    if HOST_BF16:
        return "native"
    return "emulated" if allowed else None


@functools.cache
def _permitted():
    """Ask Linux for the tile registers, which it gives a process (all its threads, also later ones) on request only.

    It refuses where a hypervisor keeps them back, or a thread has a signal stack too small for 8 KiB of tiles more.
    """
    request_permission, tile_data = 0x1023, 18
    arch_prctl = 158
    return ctypes.CDLL(None).syscall(ctypes.c_long(arch_prctl), ctypes.c_long(request_permission), ctypes.c_long(tile_data)) == 0


def _compiled():
    """Whether what Numba compiles may hold AMX instructions: NUMBA_CPU_FEATURES stands above what the CPU has."""
    return _LINUX and _AMX <= FEATURES


def on_amx_tiles():
    """Whether bf16 products run on AMX tiles in this process; asks the operating system for them."""
    mode = bf16_mode()
    if mode == "tiles":
        if not _compiled():
            raise ValueError("TOYLM_BF16=tiles needs a CPU with AMX, or NUMBA_CPU_FEATURES with +amx-tile,+amx-bf16 in it")
        _permitted()
        return True
    return mode != "avx512" and HOST_AMX and _compiled() and _permitted()


def bf16_way():
    """In words, for a run's first lines."""
    if on_amx_tiles():
        return "on AMX tiles"
    if not HOST_BF16:
        return "(emulated)"
    refused = HOST_AMX and bf16_mode() != "avx512" and _compiled()
    return f"(AVX512_BF16{'; the system refuses AMX tiles' if refused else ''})"
