"""Where the examples are."""

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "examples"
WORKERS = EXAMPLES / "workers"
DEMO = EXAMPLES / "stdlib-index"
DETECTION = EXAMPLES / "language-detection"
DIGITS = EXAMPLES / "digits"
