"""Vector code by hand: the few LLVM building blocks that the compiled kernels are written in.

Numba's loop vectoriser decides by itself what it vectorises, and a sum only with `fastmath`, in an
order of its own. The kernels here must add in one fixed order on every machine, so they emit vector
instructions themselves. A vector is only a group of independent lanes: every operation acts lane by
lane in IEEE arithmetic (a fused multiply-add rounds once, everywhere), so its width, which follows
the machine, never changes a bit of the result.

Numba caches a kernel by the file it stands in: after a change here, touch the kernels' files too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import Parameter, Signature, signature
from typing import Any

import numba.core.cgutils
import numba.core.codegen
import numba.core.config
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

__all__ = ["DOUBLE", "FLOAT", "INDEX", "Lanes", "emitted"]

FLOAT = ir.FloatType()
DOUBLE = ir.DoubleType()
INDEX = ir.IntType(64)

# Partly typed upstream, and differently from version to version.
cgutils: Any = numba.core.cgutils
codegen: Any = numba.core.codegen
config: Any = numba.core.config


def _wide_registers() -> bool:
    """Return whether kernels are compiled for a processor with 32 registers of 512 bits."""
    features = config.CPU_FEATURES
    return "+avx512f" in (codegen.get_host_cpu_features() if features is None else features)


class Lanes:
    """Emits operations on vectors of `width` lanes into an LLVM builder.

    Args:
        builder: where the instructions go.
    """

    wide = _wide_registers()
    width = 16 if wide else 8

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.single = ir.VectorType(FLOAT, self.width)
        self.double = ir.VectorType(DOUBLE, self.width)

    def vector(self, element: Any, count: int) -> Any:
        """Return the type of a vector of `count` elements, whatever the machine's width."""
        return ir.VectorType(element, count)

    def splat(self, kind: Any, value: float) -> Any:
        """Return a constant vector of type `kind` whose lanes all hold `value`."""
        return ir.Constant(kind, [value] * kind.count)

    def spread(self, scalar: Any) -> Any:
        """Return a float64 vector whose lanes all hold `scalar`."""
        value = ir.Constant(self.double, ir.Undefined)
        for lane in range(self.width):
            value = self.builder.insert_element(value, scalar, ir.IntType(32)(lane))
        return value

    def variable(self, kind: Any, value: float = 0.0) -> Any:
        """Return a fresh variable of vector type `kind`, set to `value` here."""
        slot = cgutils.alloca_once(self.builder, kind)
        self.builder.store(self.splat(kind, value), slot)
        return slot

    def address(self, base: Any, element: Any, size: int = 4) -> Any:
        """Return the address `base + element * size`."""
        step = self.builder.mul(element, INDEX(size))
        return self.builder.add(base, step)

    def load(self, address: Any, kind: Any = None) -> Any:
        """Load a value of type `kind` (a vector of float32 by default), aligned as one element."""
        kind = self.single if kind is None else kind
        element = getattr(kind, "element", kind)
        pointer = self.builder.inttoptr(address, kind.as_pointer())
        return self.builder.load(pointer, align=4 if element == FLOAT else 8)

    def store(self, value: Any, address: Any) -> None:
        """Store `value` at `address`, aligned as one element."""
        element = getattr(value.type, "element", value.type)
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        self.builder.store(value, pointer, align=4 if element == FLOAT else 8)

    def prefetch(self, address: Any) -> None:
        """Ask for the cache line at `address`, which need not exist; changes nothing else.

        It comes no nearer than the second cache: the first one is full of what is worked on.
        """
        flag = ir.IntType(32)
        pointer = self.builder.inttoptr(address, ir.IntType(8).as_pointer())
        signature = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
        function = cgutils.get_or_insert_function(
            self.builder.module, signature, "llvm.prefetch.p0"
        )
        self.builder.call(function, [pointer, flag(0), flag(2), flag(1)])

    def widen(self, value: Any) -> Any:
        """Return a float32 vector as float64; exact."""
        return self.builder.fpext(value, self.double)

    def narrow(self, value: Any) -> Any:
        """Return a float64 vector rounded to float32."""
        return self.builder.fptrunc(value, self.single)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a·b + c, rounded once."""
        kind = a.type
        name = f"llvm.fma.v{kind.count}f{32 if kind.element == FLOAT else 64}"
        signature = ir.FunctionType(kind, [kind] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, [a, b, c])

    def sort(self, values: list[Any], pairs: Sequence[tuple[int, int]]) -> None:
        """Put, lane by lane, the smaller of each pair first; NaN has no place here."""
        for low, high in pairs:
            a, b = values[low], values[high]
            less = self.builder.fcmp_ordered("<", a, b)
            values[low] = self.builder.select(less, a, b)
            values[high] = self.builder.select(less, b, a)

    def shuffle(self, a: Any, b: Any, order: Sequence[int]) -> Any:
        """Return the lanes `order` of a followed by b."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
        return self.builder.shuffle_vector(a, b, mask)

    def halved(self, value: Any) -> Any:
        """Return the upper half of a vector's lanes added to the lower half."""
        half = value.type.count // 2
        parts = [self.shuffle(value, value, range(at, at + half)) for at in (0, half)]
        return self.builder.fadd(*parts)

    def total(self, value: Any) -> Any:
        """Return the sum of a vector's lanes, upper half added to lower half: a fixed order."""
        while value.type.count > 1:
            value = self.halved(value)
        return self.builder.extract_element(value, ir.IntType(32)(0))

    def totals(self, values: Sequence[Any]) -> Any:
        """Return a vector of the `total` of four vectors, the same bits."""
        values = list(values)
        while values[0].type.count > 4:
            values = [self.halved(value) for value in values]
        a, b, c, d = values
        even, odd = (
            self.builder.fadd(*(self.shuffle(u, v, [k, k + 1, k + 4, k + 5]) for k in (0, 2)))
            for u, v in ((a, c), (b, d))
        )
        return self.builder.fadd(
            *(self.shuffle(even, odd, [k, k + 4, k + 2, k + 6]) for k in (0, 1))
        )

    def spoil(self, slot: Any, values: Sequence[Any]) -> None:
        """Turn lanes of the variable `slot`, zero so far, to NaN where a value is not finite."""
        mark = self.builder.load(slot)
        for value in values:
            mark = self.fma(value, self.splat(self.single, 0.0), mark)
        self.builder.store(mark, slot)

    def any_nan(self, value: Any) -> Any:
        """Return 1 (64 bits) if a lane of `value` is NaN, else 0."""
        ordered = self.builder.fcmp_ordered("ord", value, value)
        return self.builder.sub(INDEX(1), self.all_true(ordered))

    def all_true(self, mask: Any) -> Any:
        """Return 1 (64 bits) if every lane of a comparison's result is true, else 0."""
        bits = ir.IntType(mask.type.count)
        packed = self.builder.bitcast(mask, bits)
        full = bits((1 << mask.type.count) - 1)
        return self.builder.zext(self.builder.icmp_unsigned("==", packed, full), INDEX)

    @contextmanager
    def unless_all(self, mask: Any) -> Iterator[None]:
        """Emit what is rarely needed: where not every lane of a comparison's result is true."""
        some_false = self.builder.icmp_unsigned("==", self.all_true(mask), INDEX(0))
        with cgutils.if_unlikely(self.builder, some_false):
            yield

    @contextmanager
    def loop(self, count: Any) -> Iterator[Any]:
        """Emit a loop; yields its index, 0 to count - 1."""
        with cgutils.for_range(self.builder, count, intp=INDEX) as loop:
            yield loop.index

    @contextmanager
    def steps(self, size: Any) -> Iterator[Any]:
        """Emit a loop over a row of `size` bytes, a vector of float32 at a time; yields bytes."""
        with self.loop(self.builder.udiv(size, INDEX(4 * self.width))) as step:
            yield self.builder.mul(step, INDEX(4 * self.width))


def emitted(result: Any, *arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """Let compiled code call `emit(lanes, *values)`, which emits the instructions in place.

    Args:
        result: Numba type of what `emit` returns.
        arguments: Numba types of the values.
    """

    def decorate(emit: Callable[..., Any]) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, values: Sequence[Any]) -> Any:
            return emit(Lanes(builder), *values)

        def typing(_context: Any, *_types: Any) -> tuple[Any, Any]:
            return result(*arguments), generate

        names = ["_context", *list(signature(emit).parameters)[1:]]
        typing.__name__ = emit.__name__
        typing.__signature__ = Signature(  # type: ignore[attr-defined]
            [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        )
        return intrinsic(typing)

    return decorate
