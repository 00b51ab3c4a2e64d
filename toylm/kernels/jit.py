"""How toylm compiles: the decorators of its kernels, the compile cache, and the threads that kernels run in.

    @jit              a function that Python calls, on the calling thread
    @parallel         a kernel that Python calls and all threads run
    @device_function  a function that only compiled ones call
    c_function        a function that compiled ones call by its address, so that it is compiled once for all of them

Whatever toylm uses of Numba's insides (numba.core) stands in this file, and in vectors.py and tile.py through it.

Numba's own cache notices only a change of the file that holds a function, not of the functions that it calls. Here the cache
folder is named by a hash of all kernel sources, so an edited or upgraded kernel is compiled anew. It lies in toylm's cache folder
(TOYLM_CACHE), or in NUMBA_CACHE_DIR where that is set.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import pickle
import platform
import shutil
import sys
import tempfile
import time
import types as python_types
from pathlib import Path

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import caching, ccallback, cgutils, compiler, config, event, serialize, sigutils
from numba.core.codegen import get_host_cpu_features
from numba.core.registry import CPUDispatcher, cpu_target
from numba.extending import intrinsic

from ..files import atomic_writer, remove_abandoned
from ..resources import cache_directory
from ..threads import launch_threads

# Not full fastmath: `nnan` and `ninf` would let the compiler delete checks for NaN and infinity.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
I32, I64, POINTER = ir.IntType(32), ir.IntType(64), ir.PointerType()
PACKAGE = Path(__file__).parents[1]
COMPILED_FOLDERS = ("kernels", "counts", "closed_form")  # where compiled functions live
UNUSED_DAYS = 30


def compiled_features():
    """Names of the CPU features that Numba compiles for: the host's, but for what NUMBA_CPU_NAME, NUMBA_CPU_FEATURES or
    NUMBA_ENABLE_AVX say."""
    return host_features() if config.CPU_FEATURES is None else _feature_names(config.CPU_FEATURES)


def host_features():
    """Names of this CPU's features, as far as the operating system lets processes use them."""
    return _feature_names(get_host_cpu_features())


def _feature_names(listed):
    found = set()
    for feature in filter(None, listed.split(",")):
        (found.add if feature[0] == "+" else found.discard)(feature[1:])
    return found


def compile_target():
    """What compiled code depends on beside its source: a tuple of strings (versions, processor, features)."""
    target = cpu_target.target_context.codegen().magic_tuple()
    return (numba.__version__, platform.python_version(), *map(str, target))


# -- the cache ---------------------------------------------------------------------------------------------------------


@functools.cache
def kernel_folder():
    """The folder of this version's compiled kernels, made at the first call.

    Where it cannot be written, a temporary one that goes when the process ends; a note then says so, and what helps.
    """
    sources = hashlib.sha256()
    for folder in COMPILED_FOLDERS:
        for path in sorted((PACKAGE / folder).glob("*.py")):
            sources.update(path.read_bytes())
    try:
        base = Path(os.environ.get("NUMBA_CACHE_DIR") or cache_directory()).absolute()
        folder = base / f"kernels-{sources.hexdigest()[:16]}"
        new = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        folder = Path(tempfile.mkdtemp(prefix="toylm-kernels-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        _note(f"compiled kernels cannot be kept ({error}), so every process compiles them again")
        return folder
    with contextlib.suppress(OSError):  # another process may be doing the same
        remove_abandoned(folder)
    if new:
        _forget_unused(base)
    return folder


def _forget_unused(base):
    """Remove the kernels of other versions that nobody has used for a month, and nothing else that may lie in the folder."""
    for other in base.glob("kernels-" + 16 * "[0-9a-f]"):
        with contextlib.suppress(OSError):  # another process may be removing it
            if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86400:
                shutil.rmtree(other)


@functools.cache
def _note(text):
    print(f"toylm: {text}; set TOYLM_CACHE to a folder that can be written", file=sys.stderr)


class _KernelCache(caching.NullCache):
    """One file a function and signature: a digest, then Numba's compile result. What is damaged is not there."""

    def __init__(self, function):
        self.function = function

    @property
    def cache_path(self):
        return str(kernel_folder())

    def _file(self, signature):
        function, code = self.function, self.function.__code__
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        source = Path(code.co_filename)
        # What lies elsewhere than in COMPILED_FOLDERS, its file's time tells apart.
        own = any(source.is_relative_to(PACKAGE / folder) for folder in COMPILED_FOLDERS) or not source.exists()
        parts = [code.co_filename, code.co_firstlineno, function.__qualname__, signature, *compile_target()]
        parts += [] if own else [source.stat().st_mtime_ns]
        key = hashlib.sha256(repr(parts).encode() + code.co_code + (serialize.dumps(cells) if cells else b""))
        return kernel_folder() / f"{function.__name__.strip('_')}-{key.hexdigest()[:24]}.kernel"

    def load_overload(self, sig, target_context):
        target_context.refresh()
        try:
            content = self._file(sig).read_bytes()
        except OSError:
            return None
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            return None
        return compiler.CompileResult._rebuild(target_context, *pickle.loads(data))

    def save_overload(self, sig, data):
        if data.lifted or data.library.has_dynamic_globals:
            return
        data = serialize.dumps(data._reduce())
        try:
            with atomic_writer(self._file(sig), flush=False) as file:  # its digest tells whether it is whole
                file.write(hashlib.sha256(data).digest() + data)
        except OSError as error:  # a full disk, say
            _note(f"compiled kernels cannot be kept ({error})")


class _CompileClock(event.Listener):
    """Adds up the wall time of outermost compilations (a kernel compiles its callees inside its own time), and says once that
    there is something to wait for."""

    def __init__(self):
        self.depth, self.seconds, self._start, self.announced = 0, 0.0, 0.0, False

    def on_start(self, event):
        if self.depth == 0:
            self._start = time.perf_counter()
            if self.seconds > SILENT_SECONDS and not self.announced:
                self.announced = True
                print("toylm: compiling kernels for this machine; that takes up to a minute, once", file=sys.stderr, flush=True)
        self.depth += 1

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self._start


SILENT_SECONDS = 2.0  # of compiling, before it is announced
_clock = _CompileClock()
event.register("numba:compile", _clock)


def compile_seconds():
    """Seconds that this process has spent compiling kernels so far (0 when all came from the cache)."""
    return _clock.seconds


# -- the decorators ----------------------------------------------------------------------------------------------------


def _options(**more):
    # no_cfunc_wrapper: nothing here passes functions as values.
    return {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy", "no_cfunc_wrapper": True, **more}


def jit(function, **more):
    """Compile at the first call, keep the result on disk, release the GIL."""
    compiled = numba.njit(**_options(**more))(function)
    compiled._cache = _KernelCache(function)
    return compiled


def device_function(function=None, *, inline="never"):
    """`jit` for a function that only compiled ones call. Without its way in from Python, which takes every argument apart and
    counts references, a kernel of a dozen such functions compiles in three quarters of the time."""
    if function is None:
        return lambda f: device_function(f, inline=inline)
    compiled = jit(function, inline=inline, no_cpython_wrapper=True)
    compiled.__class__ = _DeviceFunction
    return compiled


class _DeviceFunction(CPUDispatcher):
    def __call__(self, *arguments, **named):
        raise TypeError(f"{self.py_func.__qualname__} is for compiled functions to call; from Python, call it inside a @jit one")


class _CFunction(ccallback.CFunc):
    def _compile_uncached(self):
        _clock.on_start(None)
        try:
            return super()._compile_uncached()
        finally:
            _clock.on_end(None)


_kept = []  # compiled C functions: they live as long as the process


@functools.cache
def c_function(function, *arguments, parallel=False):
    """The address of `void function(arguments)`, types of Numba's: compiled, or loaded, at the first call."""
    signature = sigutils.normalize_signature(types.void(*arguments))
    compiled = _CFunction(function, signature, {}, {**_options(), "parallel": parallel, "no_cfunc_wrapper": False})
    compiled._cache = _KernelCache(function)
    compiled.compile()
    _kept.append(compiled)
    return compiled.address


@intrinsic
def call(typingctx, address, arguments):
    """Call the `c_function` at an address with a tuple of arguments: floating-point numbers, and int64 or what becomes one."""

    def kind_of(kind):
        return kind if isinstance(kind, types.Float) else types.int64

    def codegen(context, builder, signature, values):
        kinds = [kind_of(kind) for kind in signature.args[1].types]
        parts = [
            context.cast(builder, builder.extract_value(values[1], i), given, kind)
            for i, (given, kind) in enumerate(zip(signature.args[1].types, kinds))
        ]
        call_address(builder, values[0], parts)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), codegen


def call_address(builder, address, values):
    """Emit a call of the C function `void (values)` at an address."""
    function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    builder.call(builder.inttoptr(address, function.as_pointer()), values)  # llvmlite takes the signature from the pointer's type


# -- threads -----------------------------------------------------------------------------------------------------------
# Numba's prange would make a function of the loop's body and compile it, with all that it calls, three times over. Here is one
# prange only, which calls a function by its address, and a kernel is an ordinary compiled function.

_launched, _forked = False, False  # whether this process has started threads; whether it is a fork of one that had


def _after_fork():
    global _forked
    _forked = _forked or _launched


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def threads_now():
    """The number of threads of the next kernel: 1 in a fork of a process whose threads had started, which do not come along."""
    launch_threads()
    return 1 if _forked else numba.get_num_threads()


@device_function(inline="always")
def rows_of(total, threads, thread):
    """The range [start, stop) of `total` rows of one of `threads`.

    Inside it, kernels take slices and count from 0: Numba must allow for a negative index where a loop starts at a variable, and
    what it then emits is not vectorised (GELU: five times slower).
    """
    thread = np.int64(thread)
    return total * thread // threads, total * (thread + 1) // threads


@device_function
def share(total, threads, thread, unit):
    """The same, cut at multiples of `unit`."""
    start, stop = rows_of((total + unit - 1) // unit, threads, thread)
    return min(start * unit, total), min(stop * unit, total)


@device_function
def start_of(row):
    """The address of a row's first element."""
    return np.int64(row.ctypes.data)


def _in_all_threads(function, arguments, threads):
    for thread in prange(threads):
        call(function, (arguments, thread))


@functools.cache
def _region():
    global _launched
    _launched = True
    launch_threads()  # a region must find them
    return c_function(_in_all_threads, types.int64, types.int64, types.int64, parallel=True)


def _borrowed(context, builder, kind, value):
    """An argument, its arrays without owners: the caller keeps them alive. Else every slice would be counted at its owner, by all
    threads at one and the same place, which takes several times as long as working on a row."""
    if isinstance(kind, types.BaseTuple):
        for i, part_kind in enumerate(kind.types):
            part = _borrowed(context, builder, part_kind, builder.extract_value(value, i))
            value = builder.insert_value(value, part, i)
    elif isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value=value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        value = array._getvalue()
    return value


@intrinsic
def _run(typingctx, kernel, region, arguments):
    """Call kernel(*arguments, thread) in every thread, their number being the last of the arguments; `region` is the address of
    `_in_all_threads`, not read for one thread. Returns whether any call raised (out of memory, say)."""
    signature = kernel.get_call_type(typingctx, (*arguments.types, types.int64), {})

    def codegen(context, builder, outer, values):
        compiled = kernel.dispatcher.get_compile_result(signature)
        context.active_code_library.add_linking_library(compiled.library)
        # The arguments and a word for failures lie on this thread's stack, where all threads find them: they are gone before this
        # function returns.
        packed = cgutils.alloca_once_value(builder, values[2])
        failed = cgutils.alloca_once_value(builder, I64(0))
        both = cgutils.alloca_once(builder, ir.ArrayType(I64, 2))
        where = builder.ptrtoint(both, I64)
        for i, pointer in enumerate((packed, failed)):
            builder.store(builder.ptrtoint(pointer, I64), builder.inttoptr(builder.add(where, I64(8 * i)), POINTER))

        name = context.mangler(f"in_one_thread_{kernel.dispatcher.py_func.__name__}", outer.args)
        one = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [I64, I64]), name)
        one.linkage = "internal"
        entry = ir.IRBuilder(one.append_basic_block("entry"))
        places = (entry.inttoptr(entry.add(one.args[0], I64(8 * i)), POINTER) for i in range(2))
        arguments_at, failed_at = (entry.inttoptr(entry.load(place, typ=I64), POINTER) for place in places)
        tuple_value = entry.load(arguments_at, typ=values[2].type)
        parts = enumerate(arguments.types)
        unpacked = [_borrowed(context, entry, kind, entry.extract_value(tuple_value, i)) for i, kind in parts]
        function = context.declare_function(builder.module, compiled.fndesc)
        status, _ = context.call_conv.call_function(
            entry, function, signature.return_type, signature.args, [*unpacked, one.args[1]]
        )
        with entry.if_then(status.is_error, likely=False):
            entry.store(I64(1), failed_at)
        entry.ret_void()

        threads = builder.extract_value(values[2], len(arguments.types) - 1)
        with builder.if_else(builder.icmp_signed("==", threads, I64(1))) as (alone, together):
            with alone:
                builder.call(one, [where, I64(0)])
            with together:
                call_address(builder, values[1], [builder.ptrtoint(one, I64), where, threads])
        return builder.load(failed)

    return types.int64(kernel, types.int64, arguments), codegen


def _launch(region, *arguments):
    return _run(_kernel, region, arguments)  # noqa: F821 - see _launcher


def with_globals(function, model, suffix, **names):
    """A copy of `function` with `names` among its globals, and under the name and place of `model` for the cache."""
    name = f"{model.__name__}.{suffix}"
    place = {"co_filename": model.__code__.co_filename, "co_firstlineno": model.__code__.co_firstlineno}
    code = function.__code__.replace(co_name=name, co_qualname=name, **place)
    made = python_types.FunctionType(code, {**function.__globals__, "__name__": model.__module__, **names}, name)
    made.__qualname__, made.__module__ = name, model.__module__
    return made


def parallel(function):
    """Compile a kernel that all threads run: its last two parameters are `threads`, their number, and `thread`, 0 to threads - 1.

    Neither is given by the caller: as many threads run as are set (`toylm.threads`). To choose their number, call
    `.with_threads(*arguments, threads)`. The kernel divides its work by them (`rows_of`, `share`), fixed, so that sums have a fixed
    order. Raises RuntimeError where a thread failed, which is for want of memory: kernels raise nothing themselves.
    """
    launch = jit(with_globals(_launch, function, "launch", _kernel=device_function(function)))

    def with_threads(*arguments):
        if launch(0, *arguments[:-1], 1) if _forked else launch(_region(), *arguments):
            raise RuntimeError(f"a thread of the kernel {function.__name__} failed: out of memory?")

    @functools.wraps(function)
    def run(*arguments):
        return with_threads(*arguments, threads_now())

    run.with_threads = with_threads
    return run
