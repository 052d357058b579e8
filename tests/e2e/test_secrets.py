"""What a pool's workers are given as environment is in nothing that the daemon says."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.daemon import until

SECRET = "hunter2-271828"

# Says how long its secret is, which shows that it has it.
KNOWS = """
while read -r request; do
    id=${request#'{"id":"'}
    printf '{"id":"%s","status":"ok","result":%d}\\n' "${id%%'"'*}" "${#TOKEN}"
done
"""


def test_a_secret_is_in_no_answer_and_in_no_line_of_the_log(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text(f"PASSWORD='{SECRET}'\n")
    shared = {"env": {"TOKEN": SECRET}, "env_file": str(file)}
    pools = {
        "knows": {"command": ["sh", "-c", KNOWS], **shared},
        "fails": {"command": ["sh", "-c", "echo cannot start >&2; exit 3"], **shared},
    }
    daemon = start(pools, log_level="debug")
    with daemon.client() as client:

        def degraded() -> bool:
            return any(pool["state"] == "degraded" for pool in client.pools())

        [job] = client.wait_all([client.submit("knows", None)["id"]])
        assert job["result"] == len(SECRET)
        until(degraded, "a pool whose workers do not start")
        said = [client.status(), client.pools(), client.workers("knows"), client.workers("fails"), client.queues(), job]
    command = [sys.executable, "-m", "supervisor", "check-config", "-c", str(tmp_path / "daemon0/stoker.toml")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    daemon.stop()
    assert "TOKEN" in shown
    assert any(row["event"] == "worker_stderr" for row in daemon.log())
    for words in (json.dumps(said), json.dumps(daemon.log()), shown):
        assert SECRET not in words
