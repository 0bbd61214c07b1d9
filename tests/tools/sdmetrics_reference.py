#!/usr/bin/env python3
"""What SDMetrics says of rows of Adult: the reference numbers in tests/quality/sdmetrics.json.

    python3 -m venv /tmp/sdmetrics && /tmp/sdmetrics/bin/pip install sdmetrics==0.32.0     # 460 MB
    /tmp/sdmetrics/bin/python tests/tools/sdmetrics_reference.py ~/.cache/latentd/data/adult.jsonl > tests/quality/sdmetrics.json

The rows are those of tests/quality.rs. "Generated" are real rows whose columns `age` and `occupation` are each moved by one
row, so that the similarities are not all near 1. Categories seen fewer than five times among the training rows are `rare`.
"""

import itertools
import json
import sys

import pandas as pd
from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
from sdmetrics.single_column import KSComplement, TVComplement

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]


def main():
    with open(sys.argv[1]) as file:
        rows = pd.DataFrame([json.loads(line) for line in itertools.islice(file, 12_000)])
    train, holdout, generated = rows[:6_000], rows[6_000:9_000].copy(), rows[9_000:12_000].copy()
    generated = generated.reset_index(drop=True)
    for column in ["age", "occupation"]:
        moved = list(generated[column])
        generated[column] = moved[1:] + moved[:1]
    generated["hours_per_week"] += generated["age"] // 30
    categories = [column for column in rows.columns if column not in NUMBERS]
    for column in categories:
        counts = train[column].value_counts()
        known = set(counts[counts >= 5].index)
        for table in [holdout, generated]:
            table[column] = [value if value in known or value is None else "rare" for value in table[column]]
    shapes = {}
    for column in rows.columns:
        metric = KSComplement if column in NUMBERS else TVComplement
        shapes[column] = metric.compute(holdout[column], generated[column])
    pairs = {}
    for a, b in itertools.combinations(rows.columns, 2):
        both = [a, b]
        numbers = [column for column in both if column in NUMBERS]
        if len(numbers) == 2:
            score = CorrelationSimilarity.compute(holdout[both], generated[both])
        else:
            # Binned by the edges of the real numbers, as the metric itself does.
            score = ContingencySimilarity.compute(
                holdout[both].copy(), generated[both].copy(), continuous_column_names=numbers, num_discrete_bins=10
            )
        pairs[f"{a},{b}"] = score
    mean = lambda scores: sum(scores.values()) / len(scores)
    print(json.dumps({"column_shapes": mean(shapes), "column_pairs": mean(pairs), "shapes": shapes, "pairs": pairs}, indent=1))


if __name__ == "__main__":
    main()
