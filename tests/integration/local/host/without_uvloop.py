"""The functions host where there is no uvloop, as on Windows; takes the arguments of infra.local.host."""

import sys

sys.modules["uvloop"] = None  # type: ignore[assignment]  # so that importing it fails

from infra.local.host.__main__ import main  # noqa: E402  # which would have imported it

if __name__ == "__main__":
    sys.exit(main())
