"""examples/systemd, from the templates: `python -m tests.systemd.examples` writes it anew."""

from supervisor.units.files import Service, render
from tests.systemd.surroundings import ROOT

FOLDER = ROOT / "examples/systemd"
INSTANCES = {"config": "/etc/stoker/%i.toml", "socket": "/run/stoker-%i.sock", "state_dir": "/var/lib/stoker-%i"}
OF_USER = {"config": "%E/stoker/stoker.toml", "socket": "%t/stoker.sock"}


def texts() -> dict[str, str]:
    """By path below FOLDER, what belongs there."""
    found = {path.removeprefix("system/"): text for path, text in render(Service()).items()}
    strict = render(Service(strict=True))
    found["strict/stoker.service"] = strict["system/stoker.service"]
    found |= {
        path.removeprefix("system/"): text
        for path, text in render(Service(instances=True, **INSTANCES)).items()
        if path.startswith("system/")
    }
    return found | render(Service(of_user=True, **OF_USER))


if __name__ == "__main__":
    for path, text in texts().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text)
