"""The worker's process with delayed SQL."""

import sys

from infra.local.host.worker_process import main
from tests.bench.latency import delay_sql

if __name__ == "__main__":
    delay_sql()
    sys.exit(main())
