"""The functions host with delayed SQL: `python -m tests.bench.slow_host`, with the arguments of infra.local.host."""

import sys

from infra.local.host.__main__ import main
from tests.bench.latency import delay_sql

if __name__ == "__main__":
    delay_sql()
    sys.exit(main())
