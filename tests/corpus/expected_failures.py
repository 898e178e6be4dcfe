"""Cases of the corpus that fail now, by reason: whoever makes one pass takes it out here (the tests are strict)."""

BY_REASON: dict[str, list[str]] = {
    "an unchecked index into the outputs of a dead node": [
        "dead unit of Resize",
        "dead unit of MaxPool",
        "dead unit of Concat",
        "dead unit of Flatten",
    ],
    "operators of other domains are taken for ONNX's": [
        "foreign Relu",
        "foreign Clip",
        "foreign Cast",
    ],
    "the bias of a Gemm is judged by its length": [
        "column of a number a row as C",
    ],
    "constants are folded although the float result changes": [
        "rounding by a large number",
    ],
    "a constant that is not finite is folded into the weights": [
        "quotient by a vector with a zero",
    ],
    "gates are cut off at minus infinity": [
        "SiLU of minus infinity",
        "HardSwish of minus infinity",
    ],
    "coordinates are computed otherwise than onnxruntime does": [
        "nearest resize to 24, floor",
        "nearest resize by 1.2, floor",
        "nearest resize by 1.04 to the same size, floor",
        "nearest resize by 1.7, floor",
        "nearest resize by 1.3, half pixel",
    ],
}

EXPECTED = {name: reason for reason, names in BY_REASON.items() for name in names}
