"""Stand-ins for Azure's services on a laptop, and the developer's commands."""

import os

LOOPBACK = "localhost,127.0.0.1,::1"

# Every process of the laptop comes by here first, and so does whatever it starts. HTTP clients ask the environment for
# a proxy, which knows nothing of this computer's ports: loopback never goes through one. Without a proxy there,
# nothing is said, for clients would then no longer ask the system's own settings.
if any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" and os.environ[name] for name in os.environ):
    excepted = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{excepted},{LOOPBACK}" if excepted else LOOPBACK
