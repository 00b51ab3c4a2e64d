"""Kernels that run in threads: `parallel` makes every thread call the same compiled function, each with its own number.

Numba's prange would make a function of the loop's body and compile it, with all that it calls, three times over. Here is one
prange only, which calls a function by its address, and a kernel is an ordinary compiled function.
"""

import functools
import types

import numba
from llvmlite import ir
from numba import prange
from numba.core import cgutils
from numba.core import types as nb
from numba.extending import intrinsic

from .jit import c_function, inner, jit
from .placement import on_own_core, threads_now

I64 = ir.IntType(64)


@intrinsic
def _call(typingctx, function, arguments, thread):
    """Call the C function at an address: void function(int64 arguments, int64 thread)."""

    def codegen(context, builder, signature, values):
        pointer = ir.FunctionType(ir.VoidType(), [I64, I64]).as_pointer()
        builder.call(builder.inttoptr(values[0], pointer), values[1:])
        return context.get_dummy_value()

    return nb.void(nb.int64, nb.int64, nb.int64), codegen


def _in_all_threads(function, arguments, threads):
    for thread in prange(threads):
        _call(function, arguments, thread)


@functools.cache
def _fork_address():
    numba.get_num_threads()  # a region must find its threads launched
    return c_function("void(int64, int64, int64)", parallel=True)(_in_all_threads)


def _borrowed(context, builder, kind, value):
    """An argument, its arrays without owners: the caller keeps them alive. Else every slice would be counted at its owner, by all
    threads at one and the same place, which takes several times as long as working on a row."""
    if isinstance(kind, nb.BaseTuple):
        for i, part_kind in enumerate(kind.types):
            part = _borrowed(context, builder, part_kind, builder.extract_value(value, i))
            value = builder.insert_value(value, part, i)
    elif isinstance(kind, nb.Array):
        array = context.make_array(kind)(context, builder, value=value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        value = array._getvalue()
    return value


@intrinsic
def _fork(typingctx, kernel, fork, arguments):
    """Call kernel(*arguments, thread), or kernel(*arguments, thread, queue), in every thread, their number being the last of the
    arguments; `fork` is the address of `_in_all_threads`. Returns whether any call raised (out of memory, say)."""
    code = kernel.dispatcher.py_func.__code__
    queued = code.co_varnames[code.co_argcount - 1] == "queue"
    signature = kernel.get_call_type(typingctx, (*arguments.types, *[nb.int64] * (1 + queued)), {})

    def codegen(context, builder, outer, values):
        compiled = kernel.dispatcher.get_compile_result(signature)
        context.active_code_library.add_linking_library(compiled.library)
        # The arguments, a word for failures and the queue lie on this thread's stack, where all threads find them: they are
        # gone before this function returns.
        packed = cgutils.alloca_once_value(builder, values[2])
        failed, queue = (cgutils.alloca_once_value(builder, I64(0)) for _ in range(2))
        all_three = cgutils.alloca_once(builder, ir.ArrayType(I64, 3))
        for i, pointer in enumerate((packed, failed, queue)):
            builder.store(builder.ptrtoint(pointer, I64), cgutils.gep_inbounds(builder, all_three, 0, i))

        name = context.mangler(f"in_one_thread_{kernel.dispatcher.py_func.__name__}", outer.args)
        one = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [I64, I64]), name)
        one.linkage = "internal"
        entry = ir.IRBuilder(one.append_basic_block("entry"))
        found = entry.inttoptr(one.args[0], all_three.type)
        addresses = [entry.load(cgutils.gep_inbounds(entry, found, 0, i)) for i in range(3)]
        tuple_value = entry.load(entry.inttoptr(addresses[0], packed.type))
        parts = enumerate(arguments.types)
        unpacked = [_borrowed(context, entry, kind, entry.extract_value(tuple_value, i)) for i, kind in parts]
        unpacked += [one.args[1], addresses[2]][: 1 + queued]
        function = context.declare_function(builder.module, compiled.fndesc)
        status, _ = context.call_conv.call_function(entry, function, signature.return_type, signature.args, unpacked)
        with entry.if_then(status.is_error, likely=False):
            entry.store(I64(1), entry.inttoptr(addresses[1], failed.type))
        entry.ret_void()

        pointer = ir.FunctionType(ir.VoidType(), [I64] * 3).as_pointer()
        threads = builder.extract_value(values[2], len(arguments.types) - 1)
        where = [builder.ptrtoint(one, I64), builder.ptrtoint(all_three, I64), threads]
        builder.call(builder.inttoptr(values[1], pointer), where)
        return builder.load(failed)

    return nb.int64(kernel, nb.int64, arguments), codegen


def _launch(fork, *arguments):
    return _fork(_kernel, fork, arguments)  # noqa: F821 - see _launcher


def _launcher(function, kernel):
    """`_launch` for this kernel: with its own globals, and under the kernel's name and place for Numba's cache."""
    name = f"{function.__name__}.launch"
    place = {"co_filename": function.__code__.co_filename, "co_firstlineno": function.__code__.co_firstlineno}
    code = _launch.__code__.replace(co_name=name, **place)
    launch = types.FunctionType(code, {"_fork": _fork, "_kernel": kernel, "__name__": function.__module__}, name)
    launch.__qualname__, launch.__module__ = name, function.__module__
    return jit(launch)


def parallel(function):
    """Compile a kernel that all threads run: its last two parameters are `threads`, their number, and `thread`, 0 to threads - 1.

    Neither is given by the caller: as many threads run as are set (`toylm.threads`). To choose their number, call
    `.with_threads(*arguments, threads)`. The kernel divides its work by them (rows.py), fixed, so that sums have a fixed order.
    One whose results do not depend on who computes them may take a last parameter `queue`, from which threads take rows until
    none are left (`rows.take`).
    Raises RuntimeError where a thread failed, which is for want of memory: kernels raise nothing themselves.
    """
    kernel = inner(function)
    launch = _launcher(function, kernel)

    def with_threads(*arguments):
        if launch(_fork_address(), *arguments):
            raise RuntimeError(f"a thread of the kernel {function.__name__} failed: out of memory?")

    with_threads = on_own_core(with_threads)

    @functools.wraps(function)
    def call(*arguments):
        return with_threads(*arguments, threads_now())

    call.with_threads = with_threads
    return call
