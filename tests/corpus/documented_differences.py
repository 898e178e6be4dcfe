"""Cases of the corpus whose results differ from the CPU provider's, as is documented (the tests are strict)."""

BY_REASON: dict[str, list[str]] = {
    "gates are at their limits at minus infinity (README)": [
        "SiLU of minus infinity",
        "HardSwish of minus infinity",
    ],
}

DIFFERENCES = {name: reason for reason, names in BY_REASON.items() for name in names}
