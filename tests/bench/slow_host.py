"""The functions host with delayed SQL: `python -m tests.bench.slow_host`, with the arguments of infra.local.host.

SQL is spoken in the worker's process, so that one is another as well.
"""

import sys

from infra.local.host.__main__ import main

if __name__ == "__main__":
    sys.argv += ["--worker", "tests.bench.slow_worker"]
    sys.exit(main())
