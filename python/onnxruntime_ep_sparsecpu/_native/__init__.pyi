"""What the plugin library knows: instruction-set levels, options, reports; kernels for tests and check-hardware."""

from . import kernels as kernels
from . import machine as machine

__version__: str
# Keys of dynamic options.
IDENTIFY_OPTION: str
MEASURE_OPTION: str
KEEP_VALUES_OPTION: str

def available_isas() -> list[str]: ...
def provider_options() -> list[tuple[str, str, str]]: ...
def take_report(nonce: str) -> bytes: ...
def take_values(nonce: str) -> list[tuple[bytes, int, list[int], bytes]]: ...
