"""Cases of the corpus that fail now, by reason: whoever makes one pass takes it out here (the tests are strict)."""

BY_REASON: dict[str, list[str]] = {
    "gates are at their limits at minus infinity (README)": [
        "SiLU of minus infinity",
        "HardSwish of minus infinity",
    ],
    "an output of a region that onnxruntime leaves out, since its reader was dead": [
        "dead product beside a function",
    ],
}

EXPECTED = {name: reason for reason, names in BY_REASON.items() for name in names}
