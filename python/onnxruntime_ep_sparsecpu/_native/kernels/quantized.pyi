"""The kernels of bytes."""

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int32]

ROWS: int

class ByteRows:
    def __init__(self, arg0: int, arg1: int, arg2: int, arg3: int, /) -> None: ...

class Dense:
    def __init__(self, arg0: Layer, /) -> None: ...
    @property
    def blocks(self) -> int: ...
    @property
    def row_sum(self) -> list[int]: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        distances: Sequence[int],
        x: tuple[Floats, Sequence[int]],
        y: tuple[Floats, Sequence[int]],
        residual: tuple[Floats, Sequence[int]] | None,
        output: Output,
        tile: int,
        repeats: int = ...,
    ) -> float: ...

class Depthwise:
    def __init__(self, arg0: Layer, /) -> None: ...
    @property
    def blocks(self) -> int: ...
    @property
    def row_sum(self) -> list[int]: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        distances: Sequence[int],
        x: tuple[Floats, Sequence[int]],
        y: tuple[Floats, Sequence[int]],
        residual: tuple[Floats, Sequence[int]] | None,
        output: Output,
        tile: int,
        repeats: int = ...,
    ) -> float: ...

class FewRows:
    def __init__(self, arg0: Layer, arg1: bool, /) -> None: ...
    @property
    def groups(self) -> int: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        x: Bytes,
        y: NDArray[np.generic],
        residual: Bytes | None,
        output: Output,
        repeats: int = ...,
    ) -> float: ...

class Form:
    __members__: ClassVar[dict[str, Form]]
    bytes: ClassVar[Form]
    floats: ClassVar[Form]
    ints: ClassVar[Form]
    def __init__(self, value: int) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

class Jit:
    def __init__(self, arg0: Layer, arg1: int, arg2: int, arg3: JitFinish, arg4: bool, /) -> None: ...
    @property
    def blocks(self) -> int: ...
    @property
    def code_bytes(self) -> int: ...
    @property
    def finishes(self) -> bool: ...
    @property
    def groups(self) -> int: ...
    def run(
        self,
        row_base: Sequence[int],
        grid: JitGrid,
        x: Floats,
        y: Floats,
        residual: Floats | None,
        output: Output,
        rows: int,
        tile: int = ...,
        cuts: Sequence[int] = ...,
        repeats: int = ...,
    ) -> float: ...
    @property
    def segments(self) -> int: ...

class JitFinish:
    __members__: ClassVar[dict[str, JitFinish]]
    sums: ClassVar[JitFinish]
    bytes: ClassVar[JitFinish]
    sum: ClassVar[JitFinish]
    residual_is_a: ClassVar[JitFinish]
    def __init__(self, value: int) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

class JitGrid:
    def __init__(self, arg0: int, arg1: int, arg2: int, arg3: int, /) -> None: ...

class Layer:
    def __init__(
        self,
        weight: Bytes,
        is_signed: bool = ...,
        zero_points: Bytes | None = ...,
        groups: int = ...,
        kernel: Sequence[int] = ...,
        bias: Ints | None = ...,
        input_zero_point: int = ...,
        dynamic_input: bool = ...,
        multiplier: Floats | None = ...,
    ) -> None: ...
    @property
    def nonzero_groups(self) -> int: ...

class Output:
    def __init__(
        self,
        form: Form,
        zero_point: int = ...,
        float_bias: Floats | None = ...,
        clamp: Sequence[float] = ...,
        sum: tuple[float, float, float, int] | None = ...,
        residual_is_a: bool = ...,
        lookup: Bytes | None = ...,
    ) -> None: ...
    @property
    def lookup(self) -> Bytes | None: ...
    @property
    def residual_is_a(self) -> bool: ...
    @property
    def sum(self) -> tuple[float, float, float, int] | None: ...

class Spmm:
    def __init__(self, arg0: Layer, arg1: int, arg2: int, arg3: int, arg4: bool, /) -> None: ...
    @property
    def blocks(self) -> int: ...
    @property
    def groups(self) -> int: ...
    @property
    def origins(self) -> list[tuple[int, int, int]]: ...
    @property
    def row_sum(self) -> list[int]: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        distances: Sequence[int],
        x: tuple[Floats, Sequence[int]],
        y: tuple[Floats, Sequence[int]],
        residual: tuple[Floats, Sequence[int]] | None,
        output: Output,
        tile: int,
        repeats: int = ...,
    ) -> float: ...

def add(arg0: str, arg1: tuple[float, float, float, int], arg2: Bytes, arg3: Bytes, arg4: Bytes, /) -> None: ...
def copy_channels(arg0: str, arg1: Floats, arg2: int, arg3: Floats, arg4: int, arg5: int, /) -> None: ...
def dequantize(arg0: str, arg1: float, arg2: int, arg3: int, arg4: Bytes, arg5: Floats, /) -> None: ...
def dequantize_lanes(arg0: str, arg1: float, arg2: int, arg3: Floats, arg4: Floats, arg5: int, /) -> None: ...
def dynamic_quantization(arg0: float, arg1: float, /) -> tuple[float, int]: ...
def finish(arg0: str, arg1: Ints, arg2: Floats, arg3: Output, arg4: Floats, arg5: Floats | None, /) -> None: ...
def global_average_multiplier(arg0: float, arg1: float, arg2: int, /) -> float: ...
def interleave_planes(arg0: str, arg1: ByteRows, arg2: Bytes, arg3: int, arg4: Floats, /) -> None: ...
def jit_available(arg0: str, /) -> bool: ...
def jit_looks_up() -> bool: ...
def load_channels(
    arg0: str, arg1: ByteRows, arg2: Sequence[Bytes | None], arg3: Sequence[int], arg4: int, arg5: Floats, arg6: int, /
) -> None: ...
def load_planes(
    arg0: str, arg1: ByteRows, arg2: Sequence[Bytes | None], arg3: Sequence[int], arg4: int, arg5: Floats, arg6: int, /
) -> None: ...
def lookup(arg0: str, arg1: Bytes, arg2: Bytes, arg3: Bytes, /) -> None: ...
def min_max(arg0: str, arg1: Floats, arg2: float, arg3: float, /) -> tuple[float, float]: ...
def multiply(
    arg0: str, arg1: float, arg2: Sequence[int], arg3: int, arg4: Bytes, arg5: Bytes, arg6: Bytes, /
) -> None: ...
def pool_average(
    arg0: str, arg1: tuple[float, int], arg2: tuple[float, int], arg3: int, arg4: Floats, arg5: Floats, arg6: Floats, /
) -> None: ...
def pool_max(arg0: str, arg1: Floats, arg2: Floats, /) -> None: ...
def product_multiplier(arg0: float, arg1: float, arg2: float, /) -> float: ...
def quantize(arg0: str, arg1: float, arg2: int, arg3: int, arg4: Floats, arg5: Bytes, /) -> None: ...
def quantize_lanes(arg0: str, arg1: float, arg2: int, arg3: Floats, arg4: Floats, arg5: int, /) -> None: ...
def quantized_sum(
    arg0: tuple[float, int], arg1: tuple[float, int], arg2: tuple[float, int], /
) -> tuple[float, float, float]: ...
def requantize(arg0: str, arg1: float, arg2: int, arg3: int, arg4: Ints, arg5: Bytes, /) -> None: ...
def requantize_multiplier(arg0: float, arg1: float, arg2: float, /) -> float: ...
def separate_planes(arg0: str, arg1: ByteRows, arg2: Floats, arg3: int, arg4: Bytes, /) -> None: ...
def splits_pairs(arg0: str, /) -> bool: ...
def store_channels(
    arg0: str, arg1: ByteRows, arg2: Floats, arg3: int, arg4: int, arg5: Sequence[Bytes | None], arg6: Sequence[int], /
) -> None: ...
def store_planes(
    arg0: str, arg1: ByteRows, arg2: Floats, arg3: int, arg4: int, arg5: Sequence[Bytes | None], arg6: Sequence[int], /
) -> None: ...
def sum_positions(
    arg0: str, arg1: Floats, arg2: Sequence[int], arg3: Sequence[int], arg4: int, arg5: int, arg6: Ints, /
) -> None: ...
