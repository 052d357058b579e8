"""How well the digits were told: the predictions in a file, against the truth and against the model asked directly.

    python3 score.py predictions.jsonl      results in the order of digits.jsonl, as `stoker map` writes them
    python3 score.py records.jsonl          or records with a custom_id in any order, as a batch's output.jsonl has them

Exits with 0 when every picture has one prediction, and that is the model's own; else with 1.
"""

import json
import sys
from pathlib import Path

import joblib
from prepare import MODEL, PICTURES
from sklearn.datasets import load_digits


def main() -> int:
    pictures = [json.loads(line) for line in PICTURES.read_text(encoding="utf-8").splitlines()]
    numbers = [picture["custom_id"] for picture in pictures]
    try:
        found = predictions(Path(sys.argv[1]), numbers)
    except ValueError as error:
        print(f"score: {error}", file=sys.stderr)
        return 1
    direct = joblib.load(MODEL).predict([picture["pixels"] for picture in pictures]).tolist()
    truth = load_digits().target[numbers].tolist()
    right = sum(map(int.__eq__, found, truth))
    same = sum(map(int.__eq__, found, direct))
    print(f"{len(found)} digits, {right} of them told right: {right / len(found):.1%}")
    print(f"{same} as the model says when it is asked directly")
    return 0 if same == len(found) else 1


def predictions(path: Path, numbers: list[int]) -> list[int]:
    """The digit of each of the pictures `numbers`, in their order. Raises ValueError where one has none, or two."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if any("error" in line for line in lines):
        raise ValueError(f"{path} has errors in it: {next(line for line in lines if 'error' in line)}")
    if len(lines) != len(numbers):
        raise ValueError(f"{path} has {len(lines)} lines, and there are {len(numbers)} pictures")
    if lines and "custom_id" not in lines[0]:
        return [line["digit"] for line in lines]
    by_number = {line["custom_id"]: line["result"]["digit"] for line in lines}
    if by_number.keys() != set(numbers):
        raise ValueError(f"{path} is not about the {len(numbers)} pictures, each once")
    return [by_number[number] for number in numbers]


if __name__ == "__main__":
    sys.exit(main())
