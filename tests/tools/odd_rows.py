#!/usr/bin/env python3
"""How well `latentd score` finds rows with a field of another row, and what `latentd generate --complete` fills in.

    latentd train --payload json --generator autoregressive --cpu 120s adult.jsonl -o rows.model
    odd_rows.py latentd rows.model adult.jsonl adult-test.jsonl --lacking relationship

Everything is drawn under one seed: the same program, model and rows give the same figures. Needs Python alone.
"""

import argparse
import json
import pathlib
import random
import subprocess
import tempfile
from collections import Counter

ODD = 8  # one row in so many has a field of another row
SCORED = 8000
FIRST = 100


def lines(rows):
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def parsed(text):
    return [json.loads(line) for line in text.splitlines()]


def area(scores, is_odd):
    """Area under the ROC curve: how often an odd row is ranked above another."""
    ranked = sorted(zip(scores, is_odd), key=lambda pair: pair[0])
    ranks, start = {}, 0
    for at in range(1, len(ranked) + 1):
        if at == len(ranked) or ranked[at][0] != ranked[start][0]:
            ranks[ranked[start][0]] = (start + at + 1) / 2
            start = at
    odd = sum(is_odd)
    total = sum(ranks[score] for score, is_one in ranked if is_one)
    return (total - odd * (odd + 1) / 2) / (odd * (len(ranked) - odd))


def swapped(rows, seed):
    """Rows of which some have a field of another row, and which field that is."""
    rng, fields = random.Random(seed), list(rows[0])
    out, changed = [], []
    for number, row in enumerate(rows[:SCORED]):
        row, field = dict(row), None
        if number % ODD == 0:
            field = rng.choice(fields)
            others = (rng.choice(rows)[field] for _ in range(50))
            row[field] = next((other for other in others if other != row[field]), row[field])
        out.append(row)
        changed.append(field)
    return out, changed


def scored(run, rows):
    odd, changed = swapped(rows, 7)
    scores = parsed(run(["score", "--format", "json"], lines(odd)))
    ways = {
        "bits": lambda score: score["bits"],
        "excess": lambda score: score["excess"],
        "largest excess of a field": lambda score: max(score["fields"].values()),
    }
    for name, way in ways.items():
        found = [way(score) for score in scores]
        first = sorted(range(len(scores)), key=lambda at: -found[at])[:FIRST]
        share = sum(changed[at] is not None for at in first)
        print(f"{name}: area {area(found, [field is not None for field in changed]):.3f}, {share} of the first {FIRST}")
    largest = [ways["largest excess of a field"](score) for score in scores]
    all_named = 0
    for field in sorted({field for field in changed if field}):
        named = [score["field"] == field for score, own in zip(scores, changed) if own == field]
        found = [(score, own is not None) for score, own in zip(largest, changed) if own in (None, field)]
        all_named += sum(named)
        print(f"  {field}: {len(named)} rows, named in {sum(named) / len(named):.2f}, area {area(*zip(*found)):.3f}")
    print(f"  named in all: {all_named / sum(field is not None for field in changed):.3f}")


def distance(one, other):
    """Total variation."""
    sums = sum(one.values()), sum(other.values())
    return sum(abs(one[key] / sums[0] - other[key] / sums[1]) for key in one | other) / 2


def completed(run, known, rows, lacking, beside):
    without = [{field: None if field in lacking else value for field, value in row.items()} for row in rows]
    filled = parsed(run(["generate", "--seed", "7", "--complete"], lines(without)))
    for before, after in zip(rows, filled):
        kept = (field for field, value in before.items() if field not in lacking and value is not None)
        assert all(before[field] == after[field] for field in kept), (before, after)
    rng = random.Random(1)
    for field in lacking:
        most = Counter(row[field] for row in known).most_common(1)[0][0]
        ways = {
            "completed": filled,
            "drawn alone": [row | {field: rng.choice(known)[field]} for row in rows],
            "most frequent": [row | {field: most} for row in rows],
        }
        for name, way in ways.items():
            same = sum(one[field] == other[field] for one, other in zip(way, rows)) / len(rows)
            columns = [lambda row: row[field]] + [lambda row, other=other: (row[field], row[other]) for other in beside]
            off = [distance(Counter(map(column, way)), Counter(map(column, rows))) for column in columns]
            told = ", ".join(f"{of} {value:.3f}" for of, value in zip(["column", *beside], off))
            print(f"{field}, {name}: as it was {same:.3f}; off by {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["latentd", "model", "known", "rows"]:
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--lacking", nargs="+", required=True)
    parser.add_argument("--beside", nargs="+", default=["marital_status", "sex", "income", "education_num"])
    args = parser.parse_args()

    def run(command, content):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "rows.jsonl")
            file.write_text(content)
            whole = [args.latentd, *command, file, "--model", args.model]
            return subprocess.run(whole, check=True, stdout=subprocess.PIPE, text=True).stdout

    known, rows = (parsed(file.read_text()) for file in (args.known, args.rows))
    scored(run, rows)
    completed(run, known, rows, args.lacking, args.beside)


if __name__ == "__main__":
    main()
