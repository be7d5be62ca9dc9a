"""Shares of classes among rows without labels: told once, of dev and of what the rows lack."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_teaching import material_of, settings

from bertjax.errors import UserError
from bertjax.finetuning import lessons
from bertjax.finetuning.announce import describe_data
from bertjax.finetuning.member import Member
from bertjax.finetuning.rounds import train_by_rounds


def test_bbse_says_what_it_cannot_tell(files):
    material = material_of(settings(files, method="weighted_pseudo_labels", shift="bbse"))
    train, dev = material.parts(None)
    rows = np.full((96, 2), [0.9, 0.1])
    same = np.full((24, 2), [0.9, 0.1])
    with pytest.raises(UserError, match=r"transfer.shift=bbse: .* has no inverse, .*: use "):
        lessons.target_shares(material, train, list(rows), (dev, list(same)))


def test_bbse_tells_the_shares_of_the_pool_whatever_those_of_dev(files):
    """A quarter of all rows is of the second class, by a model that is right of dev."""
    material = material_of(settings(files, method="weighted_pseudo_labels", shift="bbse"))
    train, dev = material.parts(None)
    ids = np.array([material.task.labels.index(e.label) for e in dev.examples])
    assert ids.mean() != 0.5
    told = np.where(np.eye(2)[ids] > 0, 0.8, 0.2)
    rows = np.full((96, 2), [0.9, 0.1])
    rows[:24] = [0.3, 0.7]
    found = lessons.target_shares(material, train, list(rows), (dev, list(told)))
    assert found == pytest.approx(dict(zip(material.task.labels, [0.75, 0.25], strict=True)))
    shares = lessons.class_shares(material, train)
    assert shares == pytest.approx(
        {c: np.mean([e.label == c for e in train.examples]) for c in ("good", "bad")}
    )
    lesson = lessons.prepare(material, train, list(rows), shares, found)
    assert lesson.about["class_weights"] == pytest.approx({c: found[c] / shares[c] for c in found})


@pytest.mark.parametrize("shift", ["bbse", "em"])
def test_a_class_that_the_pool_lacks_stays_away_in_every_round(shift, files, tmp_path):
    """Though the prior of the second teacher has next to none of it, and its answers have some."""
    taught = {"method": "weighted_pseudo_labels", "threshold": 0.0, "rounds": 3, "shift": shift}
    material = material_of(settings(files, **taught))
    ids = np.array([material.task.labels.index(e.label) for e in material.parts(None)[1].examples])
    of_dev = np.where(np.eye(2)[ids] > 0, 0.8, 0.2)
    of_pool = iter([[0.9, 0.1], [0.999, 0.001], [0.99, 0.01]])  # by each teacher, of every row

    def fit(member, train, forms, begin):
        member.best.mkdir(parents=True)
        return {"dev": {"accuracy": 0.5}}

    def predict(params, rows):
        return list(of_dev if len(rows.tokens) == len(ids) else np.tile(next(of_pool), (96, 1)))

    member = Member(0, None, tmp_path)
    found = train_by_rounds(material, member, fit, lambda each: {}, predict, lambda line: None)
    first, *others = found["rounds"][1:]
    present, gone = material.task.labels
    for about in (first, *others):
        assert about["target_shares"] == first["target_shares"]
        assert about["target_shares"][gone] < 1e-5
        assert (about["classes"][present]["said"], about["classes"][gone]["said"]) == (96, 0)


@pytest.mark.parametrize("mean", ["each", "joint"])
def test_the_rule_of_m_and_n_is_told_where_they_matter(mean, files):
    cfg = settings(files, method="weighted_pseudo_labels", mean=mean)
    material = material_of(cfg)
    said = describe_data(cfg, material, *material.parts(None), 9)
    assert "pool   128 labelled and 96 unlabelled rows" in said
    assert ("rule   m/n" in said) == (mean == "joint")
