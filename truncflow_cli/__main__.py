"""The command ``truncflow``, also as ``python -m truncflow_cli``."""

import os

# Layers run side by side in threads of their own; BLAS with more of them in each would only be in their way, and round
# differently on a machine with more cores. It looks at this once, when numpy is imported.
for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from truncflow_cli.cli.app import main  # noqa: E402 - after the above

if __name__ == "__main__":
    main()
