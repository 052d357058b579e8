"""The moments in the life of a batch at which a daemon can be made to end itself."""

from collections.abc import Mapping

from tests.crash.striking import Arm

BATCH_MOMENTS: Mapping[str, Arm] = {}

# Under load these come some ten times a second.
RARE_OF_BATCHES: tuple[str, ...] = ()
