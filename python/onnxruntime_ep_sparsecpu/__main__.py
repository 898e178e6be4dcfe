"""`python -m onnxruntime_ep_sparsecpu`: the command `sparsecpu`."""

import sys

from onnxruntime_ep_sparsecpu.cli import main

sys.exit(main())
