"""The name of every event that stoker logs, and what it means. Names are fixed: people search and alert by them."""

from collections.abc import Mapping
from types import MappingProxyType

LOG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        # The daemon's life.
        "starting": "the store is open and the last daemon's leftovers are dealt with; counts say what was found",
        "ready": "every pool has a worker, or is known to have none; systemd was told",
        "stopping": "a stop was asked for: nothing new starts, running jobs have drain_timeout to end",
        "stopping_now": "a second signal: the drain is cut short",
        "drain_incomplete": "the drain is over and these jobs still ran: they go back to their queues",
        "stopped": "the end, in order",
        "few_descriptors": "the hard limit of open files is lower than the configuration may need: raise LimitNOFILE",
        # The store.
        "store_failing": "nothing can be committed, for the reason given: submits are refused, outcomes are kept",
        "store_recovered": "commits succeed again, and what was kept is on disk",
        "store_batch_failed": "the store raised what it should not: a bug, with its traceback",
        "store_read_failed": "the jobs of a queue could not be read ahead, for the reason given; tried again soon",
        "outcomes_not_recorded": "stopped while the disk refused outcomes: so many jobs run again at the next start",
        "disk_low": "less is free on the store's disk than disk_reserve: submits are refused, jobs go on running",
        "disk_recovered": "there is enough free again on the store's disk: submits are accepted",
        "jobs_swept": "so many jobs were deleted, because retention keeps them no longer",
        "claim_refused": "the store did not know a job as it was checked out: a bug, or another hand in the file",
        "stale_outcome": "the outcome of an attempt that is not the job's latest, and was not recorded",
        # Pools and workers.
        "pool_degraded": "a worker of the pool does not come up, for the reason given; it is tried again",
        "pool_recovered": "every place of a degraded pool has a working worker again",
        "pool_grown": "an elastic pool has more workers, for the reason given",
        "pool_shrunk": "an elastic pool has fewer workers, for the reason given",
        "pool_resized": "somebody has set how many workers a pool has, until the next start",
        "restart_started": "a rolling restart begins: the first worker of a new generation is started",
        "restart_done": "every worker of the pool has been replaced by one of the new generation",
        "restart_failed": "a rolling restart was given up, for the reason given; the old workers serve on",
        "worker_recycled": "a worker is replaced as planned, between two jobs, for the reason given",
        "worker_started": "a worker process was started",
        "worker_ended": "stoker ends a worker, for the reason given",
        "worker_exited": "a worker process is gone, by itself or ended",
        "worker_stderr": "a line that a worker wrote to stderr, with the job it had",
        "worker_stderr_dropped": "a worker wrote more than is logged: so many lines and bytes were left out",
        "worker_not_recorded": "a worker could not be noted on disk: were stoker killed, the next start would miss it",
        "worker_tree_out_of_reach": "an ended worker's processes could not be looked for; tried again until it works",
        "worker_tree_survived": "processes of an ended worker did not go, not even by SIGKILL",
        "cgroups_used": "each worker gets a cgroup of its own, in this folder",
        "cgroups_not_used": "workers get no cgroup, for the reason given: a tree is ended as far as /proc shows it",
        "cgroup_not_made": "a worker's cgroup could not be made: it runs without; said once for each reason",
        # The control socket.
        "accept_failed": "no connection can be accepted, for the reason given (too many open files); tried again",
        "request_failed": "a request met a bug: the client was told `internal`, the traceback is here",
        "access_denied": "somebody asked for what he may not do; the same of one user is told once a minute",
        "access_unknown": "an entry of an access list means nobody, for the reason given: the account is unknown here",
        "connection_failed": "a connection met a bug and was closed, the traceback is here",
    }
)
