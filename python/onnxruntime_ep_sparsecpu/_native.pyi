from typing import Any

# Bindings for the kernel tests; no public interface.
kernels: Any

def available_isas() -> list[str]: ...
def take_report(nonce: str) -> bytes: ...
