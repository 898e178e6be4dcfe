"""The kernels, as the kernel tests and check-hardware call them: no public interface. Sizes are not checked."""

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import quantized as quantized

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

DENSE_ROWS: int
JIT_ROWS: int
SPMM_ROWS: int

class AttentionBytes:
    def __init__(self) -> None: ...
    float_output: bool
    k_zero: int
    q_zero: int
    score_bytes: bool
    score_multiplier: float
    score_scale: float
    score_zero: int
    v_zero: int
    weight_scale: float
    weight_zero: int
    y_multiplier: float
    y_zero: int

class BinaryKind:
    __members__: ClassVar[dict[str, BinaryKind]]
    add: ClassVar[BinaryKind]
    sub: ClassVar[BinaryKind]
    mul: ClassVar[BinaryKind]
    div: ClassVar[BinaryKind]
    max: ClassVar[BinaryKind]
    min: ClassVar[BinaryKind]
    def __init__(self, value: int) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

class Dense:
    def __init__(self, arg0: Layer, /) -> None: ...
    @property
    def blocks(self) -> int: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        distances: Sequence[int],
        x: Positions,
        y: Positions,
        residual: Positions | None,
        clamp: tuple[float, float],
        tile: int,
        repeats: int = ...,
    ) -> float: ...

class Depthwise:
    def __init__(self, arg0: Layer, /) -> None: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        distances: Sequence[int],
        x: Positions,
        y: Positions,
        residual: Positions | None,
        clamp: tuple[float, float],
        tile: int,
        repeats: int = ...,
    ) -> float: ...

class FewRows:
    def __init__(self, arg0: Layer, arg1: bool, /) -> None: ...
    @property
    def nonzeros(self) -> int: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        x: Floats,
        y: Floats,
        residual: Floats | None,
        clamp: tuple[float, float],
        repeats: int = ...,
    ) -> float: ...

class Geometry:
    def __init__(
        self, size: Sequence[int], lanes: Sequence[int], step: Sequence[int], origin: Sequence[int], grid: Sequence[int]
    ) -> None: ...
    def canonical_place(self, arg0: int, arg1: int, arg2: int, /) -> tuple[int, int]: ...
    @property
    def grid(self) -> tuple[int, int]: ...
    @property
    def groups(self) -> int: ...
    def is_canonical(self, arg0: int, arg1: int, /) -> bool: ...
    @property
    def lanes(self) -> tuple[int, int, int]: ...
    @property
    def origin(self) -> tuple[int, int]: ...
    @property
    def size(self) -> tuple[int, int, int]: ...
    @property
    def step(self) -> tuple[int, int]: ...
    @property
    def stores_every_pixel(self) -> bool: ...

class Jit:
    def __init__(self, layer: Layer, dilation_w: int, position_vectors: int, clamp: tuple[float, float]) -> None: ...
    @property
    def blocks(self) -> int: ...
    @property
    def code_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def nonzeros(self) -> int: ...
    def run(
        self,
        begin: int,
        end: int,
        row_base: Sequence[int],
        x: Positions,
        y: Positions,
        residual: Positions | None,
        part_by_part: bool = ...,
    ) -> None: ...
    @property
    def segments(self) -> int: ...
    @property
    def starts(self) -> list[int]: ...

class Layer:
    def __init__(
        self,
        weight: Floats,
        groups: int = ...,
        kernel: Sequence[int] = ...,
        alpha: float = ...,
        bias: Floats | None = ...,
        row_scale: Floats | None = ...,
        row_shift: Floats | None = ...,
    ) -> None: ...
    @property
    def nonzeros(self) -> int: ...

class PermutePlan:
    @property
    def copies(self) -> int: ...
    def reverse(self) -> None: ...
    def run(self, arg0: str, arg1: Floats, arg2: Floats, arg3: int, arg4: int, arg5: float, /) -> None: ...

class Positions:
    def __init__(self, arg0: Floats, arg1: Sequence[int], /) -> None: ...

class Spmm:
    def __init__(self, layer: Layer, dilation_w: int, position_vectors: int, max_chunk_vectors: int) -> None: ...
    @property
    def blocks(self) -> int: ...
    @property
    def nonzeros(self) -> int: ...
    @property
    def origins(self) -> list[tuple[int, int, int]]: ...
    def run(
        self,
        isa: str,
        begin: int,
        end: int,
        distances: Sequence[int],
        x: Positions,
        y: Positions,
        residual: Positions | None,
        clamp: tuple[float, float],
        tile: int,
        repeats: int = ...,
    ) -> float: ...

class TransferPlan:
    def __init__(self, arg0: Geometry, arg1: int, arg2: int, arg3: Sequence[int], arg4: bool, /) -> None: ...
    @property
    def calls(self) -> int: ...
    def load(self, isa: str, tensor: Floats, lanes: Floats, fill: float, chunks: int = ...) -> None: ...
    def load_bytes(self, isa: str, tensor: Bytes, lanes: Floats, fill: int, sign: int, chunks: int = ...) -> None: ...
    @property
    def moves_pixels(self) -> bool: ...
    def store(self, isa: str, lanes: Floats, tensor: Floats, chunks: int = ...) -> None: ...
    def store_bytes(self, isa: str, lanes: Floats, tensor: Bytes, sign: int, chunks: int = ...) -> None: ...

class UnaryKind:
    __members__: ClassVar[dict[str, UnaryKind]]
    relu: ClassVar[UnaryKind]
    clip: ClassVar[UnaryKind]
    leaky_relu: ClassVar[UnaryKind]
    sigmoid: ClassVar[UnaryKind]
    silu: ClassVar[UnaryKind]
    hard_sigmoid: ClassVar[UnaryKind]
    hard_swish: ClassVar[UnaryKind]
    gelu: ClassVar[UnaryKind]
    gelu_tanh: ClassVar[UnaryKind]
    tanh: ClassVar[UnaryKind]
    erf: ClassVar[UnaryKind]
    exp: ClassVar[UnaryKind]
    softplus: ClassVar[UnaryKind]
    elu: ClassVar[UnaryKind]
    softsign: ClassVar[UnaryKind]
    sqrt: ClassVar[UnaryKind]
    reciprocal: ClassVar[UnaryKind]
    square: ClassVar[UnaryKind]
    abs: ClassVar[UnaryKind]
    round: ClassVar[UnaryKind]
    floor: ClassVar[UnaryKind]
    ceil: ClassVar[UnaryKind]
    def __init__(self, value: int) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> int: ...

class WindowLayout:
    def __init__(self, arg0: Geometry, arg1: Sequence[int], arg2: Sequence[int], arg3: Sequence[int], /) -> None: ...
    @property
    def aligned(self) -> Geometry: ...
    def gather(self, arg0: Geometry, arg1: int, arg2: int, arg3: int, /) -> PermutePlan: ...
    @property
    def gathers(self) -> bool: ...
    @property
    def positions(self) -> float: ...
    def slot(self, arg0: int, arg1: int, /) -> int: ...
    @property
    def slots(self) -> int: ...

def affine(arg0: str, arg1: Floats, arg2: Floats, arg3: Floats, arg4: Floats, /) -> None: ...
def attend_bytes(
    isa: str,
    k: Floats,
    v: Floats,
    first_lane: int,
    keys: int,
    scale: float,
    mask: Floats | None,
    mask_replaces: bool,
    bytes: AttentionBytes,
    q: Sequence[Floats],
    y: Sequence[Floats],
    lanes: Sequence[int],
    softmax: tuple[Floats, Floats | None, Floats | None, float, int, tuple[float, float, float, float, bool] | None]
    | None = ...,
    repeats: int = ...,
) -> float: ...
def attention(
    isa: str,
    k: Floats,
    v: Floats,
    first_lane: int,
    keys: int,
    scale: float,
    key_mask: Floats | None,
    masked_scores: bool,
    mask_replaces: bool,
    unattended: float | None,
    q: Sequence[Floats],
    y: Sequence[Floats],
    lanes: Sequence[int],
    scores: Floats,
    repeats: int = ...,
) -> float: ...
def attention_tile(arg0: str, /) -> int: ...
def binary(arg0: str, arg1: BinaryKind, arg2: Floats, arg3: Floats, arg4: Floats, /) -> None: ...
def byte_attention_tile(arg0: str, /) -> int: ...
def choose_geometry(arg0: int, arg1: int, arg2: int, /) -> Geometry: ...
def float_stretch(
    arg0: str,
    arg1: tuple[float, int],
    arg2: Floats,
    arg3: Floats | None,
    arg4: Floats | None,
    arg5: Floats | None,
    arg6: tuple[UnaryKind, float, float] | None,
    arg7: tuple[float, int] | None,
    arg8: Floats,
    arg9: int,
    arg10: int,
    /,
) -> None: ...
def jit_available(isa: str) -> bool: ...
def lane_moments(
    arg0: str, arg1: Floats, arg2: Sequence[int], arg3: Sequence[int], arg4: int, arg5: Floats, /
) -> None: ...
def layer_norm(
    arg0: str, arg1: Floats, arg2: Floats, arg3: float, arg4: bool, arg5: Floats, arg6: Floats, /
) -> None: ...
def layer_norm_row(
    arg0: str, arg1: Floats, arg2: Floats, arg3: float, arg4: bool, arg5: Floats, arg6: Floats, /
) -> None: ...
def load_rows(arg0: str, arg1: Sequence[Floats | None], arg2: int, arg3: float, arg4: Floats, arg5: int, /) -> None: ...
def normalize(arg0: str, arg1: Floats, arg2: Floats, arg3: Floats, arg4: Floats, arg5: Floats, /) -> None: ...
def plan_halo(arg0: Geometry, arg1: int, /) -> PermutePlan: ...
def plan_relayout(
    arg0: Geometry, arg1: int, arg2: Geometry, arg3: int, arg4: object, arg5: object, /
) -> PermutePlan: ...
def pool_average(arg0: str, arg1: Floats, arg2: Floats, arg3: Floats, /) -> None: ...
def pool_max(arg0: str, arg1: Floats, arg2: Floats, /) -> None: ...
def prelu(arg0: str, arg1: Floats, arg2: Floats, arg3: Floats, /) -> None: ...
def store_rows(arg0: str, arg1: Floats, arg2: int, arg3: int, arg4: Sequence[Floats | None], /) -> None: ...
def sum_positions(
    arg0: str, arg1: Floats, arg2: Sequence[int], arg3: Sequence[int], arg4: int, arg5: int, arg6: Floats, /
) -> None: ...
def unary(arg0: str, arg1: UnaryKind, arg2: float, arg3: float, arg4: Floats, arg5: Floats, /) -> None: ...
