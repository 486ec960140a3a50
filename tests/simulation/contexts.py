"""The contexts that the simulation runs beside those of the shop's story, each with clients of its own.

Of each it holds that its tables and its read models say what its log says, and that who retries, reads or waits for a
version is answered as they should be.
"""

from tests.kit.simulated import Simulated

SIMULATED: tuple[Simulated, ...] = ()
