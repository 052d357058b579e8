"""The name of every event that stoker logs, and what it means. Names are fixed: people search and alert by them.

So are the names of their fields. In systemd's journal the field `job` is STOKER_JOB, and so on: protocol/README.md has
those that one searches by.
"""

from collections.abc import Mapping
from types import MappingProxyType

LOG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        # The daemon's life.
        "starting": "the store is open and the last daemon's leftovers are dealt with; counts say what was found",
        "ready": "every pool has a worker, or is known to have none; systemd was told",
        "reloading": "the configuration is read again, for a signal or for a client",
        "reloaded": "the configuration that was read again is in force; with what has changed",
        "reload_failed": "the configuration that was read again is not in force, or not wholly, for the reason given",
        "stopping": "a stop was asked for: nothing new starts, running jobs have drain_timeout to end",
        "stopping_now": "a second signal: the drain is cut short",
        "drain_incomplete": "the drain is over and these jobs still ran: they go back to their queues",
        "stopped": "the end, in order",
        "dispatch_renewed": "jobs waited beside idle workers for a while: the pool's queues are read anew",
        "dispatch_stuck": "and still do: a bug; the watchdog is fed no more, so that systemd starts the daemon anew",
        "dispatch_goes_on": "jobs are given out again: the watchdog is fed as before",
        "socket_elsewhere": "none of systemd's sockets is at daemon.socket, where commands look for the daemon",
        "few_descriptors": "the hard limit of open files is lower than the configuration may need: raise LimitNOFILE",
        # The store.
        "store_failing": "nothing can be committed, for the reason given: submits are refused, outcomes are kept",
        "store_recovered": "commits succeed again, and what was kept is on disk",
        "store_silent": "the store has not answered for half a minute, and its thread is there: see to the disk",
        "store_answers": "the store answers again, and goes on with all that it was given",
        "store_batch_failed": "the store raised what it should not: a bug, with its traceback",
        "store_read_failed": "the jobs of a queue could not be read ahead, for the reason given; tried again soon",
        "outcomes_not_recorded": "stopped while the disk refused outcomes: so many jobs run again at the next start",
        "disk_low": "less is free on the store's disk than disk_reserve: submits are refused, jobs go on running",
        "disk_recovered": "there is enough free again on the store's disk: submits are accepted",
        "jobs_swept": "so many jobs were deleted, because retention keeps them no longer",
        "claim_refused": "the store did not know a job as it was checked out: a bug, or another hand in the file",
        "stale_outcome": "the outcome of an attempt that is not the job's latest, and was not recorded",
        "batch_not_received": "a batch whose parts had stopped coming was dropped",
        "batch_not_dropped": "what had come of it could not be removed: the next start does",
        "backup_taken": "a backup was made, and whoever asked for it has all of it",
        "backup_failed": "a backup was begun and given up, for the reason given",
        # Batches.
        "batch_received": "a batch is on disk, whole, with so many lines",
        "batch_ended": "every line of a batch is answered, and it is final",
        "batch_stuck": "a batch does not go on before the next start, for the reason given",
        "batch_not_open": "the files of a batch cannot be opened, for the reason given; it waits, and tries again",
        "batch_lost": "somebody has removed a batch's folder: it is forgotten, and its jobs are ended",
        "batch_unreadable": "a folder among the batches is none that can be worked on; it is left alone",
        "batch_jobs_deleted": "jobs of a batch that is final, or not there any more, were found in the store",
        "batches_swept": "so many batches were deleted with their files, because batches.keep keeps them no longer",
        "batches_not_swept": "and could not be, for the reason given; tried again soon",
        # Pools and workers.
        "pool_degraded": "a worker of the pool does not come up, for the reason given; it is tried again",
        "pool_recovered": "every place of a degraded pool has a working worker again",
        "pool_grown": "an elastic pool has more workers, for the reason given",
        "pool_shrunk": "an elastic pool has fewer workers, for the reason given",
        "pool_resized": "a pool is to have another number of workers: somebody has asked for it, or the configuration",
        "pool_removed": "the last worker of a pool that is configured no more has gone",
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
        # Jobs, as far as daemon.log_jobs and what a log can bear let them be told (supervisor.core.story).
        "job_started": "a worker has the job; waited_secs: since it could have begun",
        "job_done": "the attempt gave a result, which is on disk",
        "job_failed": "the job failed for good, for the cause and with the message given",
        "job_retrying": "the attempt failed, and another one follows at retry_at",
        "job_released": "the job was given back at no cost: by a stop, a throttled reply, a worker that never read it",
        "job_interrupted": "the job ran when the last daemon died, and goes back",
        "job_cancelled": "somebody has cancelled the job, or a submit has replaced it",
        "job_retried": "somebody has put a final job back into its queue",
        "job_expired": "the job did not begin before its expires_at",
        "job_lines_left_out": "so many stories and failures of jobs were over what is logged: see `stoker events`",
        # The log itself.
        "log_lines_lost": "so many lines could not be brought to the journal, for the reason given",
        # The control socket.
        "accept_failed": "no connection can be accepted, for the reason given (too many open files); tried again",
        "request_failed": "a request met a bug: the client was told `internal`, the traceback is here",
        "access_denied": "somebody asked for what he may not do; the same of one user is told once a minute",
        "access_unknown": "an entry of an access list means nobody, for the reason given: the account is unknown here",
        "connection_failed": "a connection met a bug and was closed, the traceback is here",
    }
)
