"""Trains the model, and writes the file to be classified: model.joblib and digits.jsonl, beside this file.

The data are scikit-learn's own: 1,797 digits written by hand, 8 by 8 pixels of 0 to 16. The model learns from the first
half, as in the library's best known example; the second half, one picture a line, is what it has never seen.
"""

import json
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.svm import SVC

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model.joblib"
PICTURES = HERE / "digits.jsonl"


def main() -> None:
    digits = load_digits()
    half = len(digits.data) // 2
    joblib.dump(SVC(gamma=0.001).fit(digits.data[:half], digits.target[:half]), MODEL)
    with PICTURES.open("w", encoding="utf-8") as file:
        for number, pixels in enumerate(digits.data[half:].astype(int).tolist(), half):
            file.write(json.dumps({"custom_id": number, "pixels": pixels}) + "\n")
    print(f"trained on {half} digits; {PICTURES.name} has {len(digits.data) - half} others")


if __name__ == "__main__":
    main()
