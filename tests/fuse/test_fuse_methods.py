"""Weights, votes, stacks and soups against scikit-learn, brute force and cases by hand."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bertjax.config import FinetuneConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.fuse import soup
from bertjax.fuse.cells import cells
from bertjax.fuse.compare import compare
from bertjax.fuse.stack import apply_stack, fit_stack
from bertjax.fuse.voices import Judged
from bertjax.fuse.votes import elect_spans, majority
from bertjax.fuse.ways import LEARNED, Mean, Vote, learn, way_from, why_not
from bertjax.fuse.weights import fit_to_classes, fit_to_numbers
from bertjax.tasks.families import task_of
from bertjax.tasks.tag_schemes import spans
from bertjax.tasks.tagging import WordScores
from bertjax.tasks.task import Example
from bertjax.tree import flatten

LABELS = ("a", "b", "c")


class Says(ClassifierMixin, BaseEstimator):
    """A classifier that says what it is given: its own block of the features."""

    def __init__(self, block):
        self.block = block

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return x[:, self.block * 3 : self.block * 3 + 3]

    def predict(self, x):
        return self.classes_[self.predict_proba(x).argmax(1)]


def drawn(models=3, rows=60, classes=3, seed=0, skill=1.0):
    """Probabilities [M, R, C] by models of unlike skill, and the true classes [R]."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    logits = rng.normal(size=(models, rows, classes))
    logits[:, np.arange(rows), truth] += skill * np.arange(1, models + 1)[:, None]
    values = np.exp(logits)
    return values / values.sum(-1, keepdims=True), truth


def task(family="classification", labels=LABELS, scheme="none"):
    cfg = FinetuneConfig(task=TaskConfig(name="t", family=family, labels=labels, scheme=scheme))
    return task_of(cfg, labels)


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_averages_and_votes_are_those_of_scikit_learn(voting):
    values, truth = drawn(rows=200)
    x = np.concatenate(list(values), axis=1)
    weights = [0.5, 0.2, 0.3] if voting == "soft" else None
    theirs = VotingClassifier(
        [(str(m), Says(m)) for m in range(3)], voting=voting, weights=weights
    ).fit(x, truth)
    way = Mean((0.5, 0.2, 0.3)) if voting == "soft" else Vote(2)
    ours = np.array(way.combine(task(), [list(v) for v in values]))
    if voting == "soft":
        np.testing.assert_allclose(ours, theirs.predict_proba(x), atol=1e-12)
        return
    votes = cells(task(), values).chosen
    clear = np.array([np.bincount(v, minlength=3).max() > 1 for v in votes.T])  # no tie
    np.testing.assert_array_equal(ours.argmax(1)[clear], theirs.predict(x)[clear])
    np.testing.assert_allclose(ours.sum(1), 1, atol=1e-12)


def test_of_equal_votes_the_mean_probability_decides():
    values = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])
    found = majority(values.argmax(-1), values)
    np.testing.assert_allclose(found, [[0.5, 0.5]], atol=1e-6)
    assert found[0, 1] > found[0, 0]
    found = majority(np.array([[0], [0], [2]]), np.full((3, 1, 3), 1 / 3))
    np.testing.assert_allclose(found, [[2 / 3, 0, 1 / 3]], atol=1e-6)


def test_several_labels_are_voted_on_one_by_one():
    said = [[np.array([0.5, 0.1])], [np.array([0.9, 0.6])], [np.array([0.2, 0.3])]]
    (found,) = Vote(2).combine(task("multi_label", ("x", "y")), said)
    np.testing.assert_allclose(found, [2 / 3, 1 / 3], atol=1e-6)  # 0.5 is a label already
    mean = Mean((1.0, 1.0, 2.0)).combine(task("multi_label", ("x", "y")), said)
    np.testing.assert_allclose(mean, [[0.45, 0.325]])


@pytest.mark.parametrize("seed", range(3))
def test_fitted_weights_are_the_lowest_point_of_a_grid(seed):
    values, truth = drawn(seed=seed, skill=0.3)
    right = values[:, np.arange(len(truth)), truth]
    found = fit_to_classes(right)
    assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-12)
    grid = [np.array([i, j, 100 - i - j]) / 100 for i in range(101) for j in range(101 - i)]
    lowest = min(grid, key=lambda w: -np.log(w @ right).mean())
    assert -np.log(found @ right).mean() <= -np.log(lowest @ right).mean() + 1e-12
    assert np.abs(found - lowest).max() < 0.02
    slopes = (right / (found @ right)).mean(axis=1)  # Karush, Kuhn and Tucker: 1 where w > 0
    np.testing.assert_allclose(slopes[found > 0], 1, atol=1e-5)
    assert slopes.max() < 1 + 1e-5


def test_weights_by_hand():
    """-log(w·0.9 + (1-w)·0.3) and its mirror: equal; a model that is always worse has nothing."""
    np.testing.assert_allclose(fit_to_classes(np.array([[0.9, 0.3], [0.3, 0.9]])), 0.5, atol=1e-6)
    np.testing.assert_array_equal(fit_to_classes(np.array([[0.9, 0.8], [0.5, 0.4]])), [1, 0])
    # w · (1, 2) - (1 - w) · (1, 2) is a fifth of (1, 2) where w is 0.6.
    numbers = fit_to_numbers(np.array([[1.0, 2.0], [-1.0, -2.0]]), np.array([0.2, 0.4]))
    np.testing.assert_allclose(numbers, [0.6, 0.4], atol=1e-6)
    assert fit_to_classes(np.zeros((2, 3))).sum() == 1  # of a truth that nobody thought possible


def test_a_stack_is_scikit_learns_logistic_regression():
    values, truth = drawn(models=2, rows=300)
    features = np.concatenate([v[:, 1:] for v in values], axis=1)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-10, max_iter=9999))
    theirs.fit(features[:200], truth[:200])
    stack = fit_stack(values[:, :200], truth[:200])
    np.testing.assert_allclose(
        apply_stack(stack, values[:, 200:]), theirs.predict_proba(features[200:]), atol=1e-6
    )


def test_a_stack_of_unseen_classes_and_unsaid_words():
    values, truth = drawn(rows=40)
    truth = np.minimum(truth, 1)
    values[:, 3] = 0
    found = apply_stack(fit_stack(values, truth), values)
    assert not found[3].any() and not found[:, 2].any()
    np.testing.assert_allclose(np.delete(found, 3, axis=0).sum(1), 1)


SPANS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 3), st.sampled_from("AB")).map(
        lambda s: (s[0], s[0] + s[1], s[2])
    ),
    max_size=4,
)


@given(st.lists(SPANS, min_size=1, max_size=4), st.integers(1, 4), st.randoms())
def test_elected_spans_are_those_of_a_plain_search(found, least, random):
    weight = {span: random.random() for spans in found for span in spans}
    votes = {span: sum(span in spans for spans in found) for span in weight}
    kept, rest = [], {span for span, count in votes.items() if count >= least}
    while rest:
        # The last of equal ones: of two types the first by name.
        best = max(rest, key=lambda s: (votes[s], weight[s], s[1] - s[0], -s[0], -s[1], -ord(s[2])))
        kept.append(best)
        rest = {s for s in rest if not set(range(*s[:2])) & set(range(*best[:2]))}
    assert elect_spans(found, least, weight.__getitem__) == sorted(kept)


def test_spans_by_hand():
    a, b, c = (0, 2, "PER"), (1, 3, "PER"), (5, 6, "LOC")
    found = [[a, c], [b], [b, c]]
    flat = {a: 0.9, b: 0.1, c: 0.5}.__getitem__
    assert elect_spans(found, 1, flat) == [b, c]  # two votes for b
    assert elect_spans(found, 2, flat) == [b, c]
    assert elect_spans(found, 3, flat) == []
    assert elect_spans([[a], [b]], 1, flat) == [a]  # the likelier one
    longer = (0, 3, "PER")
    assert elect_spans([[a], [longer]], 1, lambda s: 0.5) == [longer]
    touching = [[a], [(2, 4, "PER")]]
    assert len(elect_spans(touching, 1, lambda s: 0.5)) == 2
    assert elect_spans(touching, 1, lambda s: 0.5, apart=True) == [a]


TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")


def tagged(*sentences):
    """What one model says, quite sure of these tags."""
    rows = [np.full((len(tags), 5), 0.05) for tags in sentences]
    for row, tags in zip(rows, sentences, strict=True):
        row[np.arange(len(tags)), [TAGS.index(tag) for tag in tags]] = 0.8
    return [WordScores(row, None) for row in rows]


@pytest.mark.parametrize(
    ("votes", "entities"),
    [(1, [(0, 2, "X"), (3, 4, "Y")]), (2, [(0, 2, "X")]), (3, [])],
)
def test_entities_are_kept_that_enough_models_found(votes, entities):
    """A word alone that no model calls so by the mean of probabilities is found by one of three."""
    many = [
        tagged(["B-X", "I-X", "O", "B-Y"]),
        tagged(["B-X", "I-X", "O", "O"]),
        tagged(["O", "O", "O", "O"]),
    ]
    ner = task("tagging", TAGS, "IOB2")
    found = Vote(votes).combine(ner, many)
    (tags,) = ner.tags(found)
    assert spans(tags) == entities
    words = ("w", "x", "y", "z")
    (said,) = ner.predict([Example("f:1", "0", words, None)], found)
    assert [(e["start"], e["end"], e["type"]) for e in said["entities"]] == entities


def test_plain_tags_are_voted_on_by_word():
    plain = task("tagging", TAGS, "none")
    many = [tagged(["B-X", "O"]), tagged(["B-X", "I-X"]), tagged(["O", "I-X"])]
    many[0][0].probabilities[1] = 0  # cut off there
    assert plain.tags(Vote(2).combine(plain, many)) == [["B-X", "I-X"]]


@pytest.mark.parametrize("family", ["classification", "multi_label", "tagging"])
@pytest.mark.parametrize("method", LEARNED)
def test_what_is_learned_comes_back_from_json(family, method):
    values, truth = drawn()
    examples = [Example("f", str(i), (f"t{i}",), LABELS[c]) for i, c in enumerate(truth)]
    many = [list(v) for v in values]
    if family == "multi_label":
        examples = [Example("f", str(i), (f"t{i}",), (LABELS[c],)) for i, c in enumerate(truth)]
    if family == "tagging":
        examples = [Example("f", "0", ("w",) * 60, tuple(LABELS[c] for c in truth))]
        many = [[WordScores(v, None)] for v in values]
    way = learn(method, task(family), examples, many)
    again = way_from(method, json.loads(json.dumps(way.content())))
    ours, theirs = (w.combine(task(family), many) for w in (way, again))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.asarray(a[0]), np.asarray(b[0]))
    singles = [task(family).score(examples, one) for one in many]
    metric = task(family).metrics[0]
    best = max(one[metric] for one in singles)
    assert task(family).score(examples, ours)[metric] >= best - 0.05


def test_numbers_are_weighted_for_the_least_squared_error():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80) * 30 + 100
    many = truth + rng.normal(size=(3, 80)) * [[3.0], [6.0], [60.0]]
    examples = [Example("f", str(i), (f"t{i}",), float(y)) for i, y in enumerate(truth)]
    scores = [list(values[:, None]) for values in many]
    way = learn("weighted", task("regression", ()), examples, scores)
    theirs, _ = nnls(np.vstack([many.T, [1e7] * 3]), np.append(truth, 1e7))  # their sum is 1
    np.testing.assert_allclose(way.weights, theirs, atol=1e-4)
    np.testing.assert_allclose(
        np.ravel(way.combine(task("regression", ()), scores)), many.T @ way.weights
    )


def test_what_no_family_has():
    assert "use average or weighted" in why_not("stack", task("regression", ()))
    assert "only average" in why_not("weighted", task("span_qa", ()))
    assert "has no I-Y" in why_not("vote", task("tagging", TAGS[:4], "IOB2"))
    assert not why_not("weighted", task("regression", ())) and not why_not("stack", task())


@pytest.mark.parametrize("family", ["classification", "span_qa"])
def test_one_example_compares_no_models(family):
    judge = task(family, LABELS if family == "classification" else ())
    example = Example("f:1", "0", ("q", "a house"), "a" if family == "classification" else ())
    said = [Judged(name, judge, [np.array([0.6, 0.3, 0.1])] * 2) for name in "xy"]
    with pytest.raises(UserError, match=r"2 held-out examples, 1 of them different: .*; give more"):
        compare(said, 2, [example, example], judge.metrics[0])


def test_a_soup_is_the_mean_leaf_by_leaf():
    rng = np.random.default_rng(0)
    trees = [
        {"head": {"kernel": rng.normal(size=(3, 2)).astype(np.float32)}, "x": np.float32(i)}
        for i in range(2)
    ]
    found = flatten(soup.average(trees))
    for path, leaf in found.items():
        a, b = (flatten(tree)[path] for tree in trees)
        np.testing.assert_allclose(leaf, (a.astype(np.float64) + b) / 2, rtol=1e-6)
        assert leaf.dtype == np.float32
    same = soup.average([trees[0]] * 3)
    np.testing.assert_array_equal(same["head"]["kernel"], trees[0]["head"]["kernel"])


def test_a_greedy_soup_leaves_out_what_harms():
    singles = [0.7, 0.9, 0.2]
    assert soup.greedy(singles, lambda chosen: 0.9 - 0.1 * (2 in chosen)) == (0, 1)  # not lower
    assert soup.greedy(singles, lambda chosen: 0.8) == (1,)  # with a bad one: the best single


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 99))
def test_a_greedy_soup_is_recipe_1(singles, seed):
    """Of Wortsman et al. (2022), written as there."""
    rng = np.random.default_rng(seed)
    count = len(singles)
    value = {mix: int(rng.integers(0, 4)) for mix in product([False, True], repeat=count)}
    for i, single in enumerate(singles):
        value[tuple(j == i for j in range(count))] = single

    def score(chosen):
        return value[tuple(i in chosen for i in range(count))]

    ingredients, held_out = [], -1
    for i in np.argsort(-np.array(singles), kind="stable"):
        if score([*ingredients, i]) >= held_out:
            ingredients, held_out = [*ingredients, i], score([*ingredients, i])
    assert soup.greedy(singles, score) == tuple(sorted(ingredients))
