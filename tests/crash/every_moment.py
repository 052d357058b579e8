"""All moments at which a daemon can be made to end itself, by name."""

from tests.crash.batch_moments import BATCH_MOMENTS
from tests.crash.moments import MOMENTS

EVERY_MOMENT = {**MOMENTS, **BATCH_MOMENTS}
