"""Split rules and the limit."""

import json
from collections import Counter

import pytest

from stagewise.data.items import Item
from stagewise.data.splits import draw_splits, limit_items
from tests.helpers.data_step import make_task, run_data_step
from tests.helpers.tiny_data import make_rows, write_csv

ALL = ("train", "validation", "test")


def item(number: int, label: str, group: str | None = None) -> Item:
    return Item(f"i{number}", label, {"text": f"text {number}"}, group, "f", "items", number + 1)


def shares(items) -> dict[str, float]:
    counts = Counter(item.label for item in items)
    return {label: n / len(items) for label, n in counts.items()}


@pytest.fixture
def mixed() -> list[Item]:
    """1000 items, 552/338/110."""
    return [item(n, "yes" if n < 552 else "no" if n < 890 else "maybe") for n in range(1000)]


@pytest.fixture
def grouped() -> list[Item]:
    """900 items, a third of them in groups of two to six, labels skewed by group."""
    items, number = [], 0
    for group in range(100):
        for _ in range(2 + group % 5 if group < 75 else 1):
            items.append(item(number, "a" if (group + number) % 3 else "b", f"g{group}"))
            number += 1
    return items + [item(n, "a" if n % 5 else "b") for n in range(number, 900)]


@pytest.mark.parametrize("sizes", [(650, 245, 105), (450, 50, 500), (3, 2, 2)])
def test_a_draw_without_groups_meets_sizes_and_label_shares_exactly(mixed, sizes):
    sizes = dict(zip(ALL, sizes, strict=True)) | {"rest": 1000 - sum(sizes)}
    drawn = draw_splits(mixed, sizes, seed=0)
    assert {split: len(items) for split, items in drawn.items()} == sizes
    assert sorted(i.id for items in drawn.values() for i in items) == sorted(i.id for i in mixed)
    for split in ALL:
        for label, share in shares(mixed).items():
            count = sum(i.label == label for i in drawn[split])
            assert abs(count - share * sizes[split]) < 1.5


def test_a_draw_keeps_groups_together_and_comes_close(grouped):
    sizes = {"train": 540, "validation": 180, "test": 180}
    drawn = draw_splits(grouped, sizes, seed=0)
    home = {}
    for split, items in drawn.items():
        assert abs(len(items) - sizes[split]) <= 3
        for one in items:
            assert home.setdefault(one.group or one.id, split) == split
        for label, share in shares(grouped).items():
            assert abs(shares(items)[label] - share) < 0.02
        # Big groups are not all in the biggest split.
        assert sum(one.group is not None for one in items) / len(items) == pytest.approx(0.36, abs=0.03)


def test_a_draw_hangs_on_the_seed_and_not_on_the_row_order(mixed, grouped):
    for items in (mixed, grouped):
        sizes = {"validation": 200, "train": len(items) - 200}
        once, turned, other = (
            draw_splits(items, sizes, 0),
            draw_splits(items[::-1], sizes, 0),
            draw_splits(items, sizes, 1),
        )
        assert {i.id for i in once["validation"]} == {i.id for i in turned["validation"]}
        assert {i.id for i in once["validation"]} != {i.id for i in other["validation"]}
        common = {i.id for i in once["validation"]} & {i.id for i in other["validation"]}
        assert len(common) < 100


def test_a_seed_draws_the_same_splits_in_every_version():
    """Other splits under the same settings would stay unnoticed in a comparison with earlier results."""
    items = [item(n, "ab"[n % 2], "g" if n in (2, 3) else None) for n in range(8)]
    drawn = draw_splits(items, {"train": 4, "validation": 2, "test": 2}, seed=0)
    assert {split: [one.id for one in part] for split, part in drawn.items()} == {
        "train": ["i2", "i3", "i4", "i5"],
        "validation": ["i0", "i1"],
        "test": ["i6", "i7"],
    }


def test_a_group_bigger_than_a_split_goes_where_it_fits():
    items = [item(n, "a", "big") for n in range(50)] + [item(n, "a") for n in range(50, 100)]
    drawn = draw_splits(items, {"train": 60, "validation": 20, "test": 20}, 0)
    assert [len(drawn[split]) for split in ALL] == [60, 20, 20]
    assert {i.group for i in drawn["train"]} == {"big", None}


def test_limits_are_nested_stratified_and_blind_to_row_order(mixed):
    sizes = [*range(2, 60), *range(60, 1001, 47)]
    chosen = {size: {i.id for i in limit_items(mixed, size)} for size in sizes}
    for small, big in zip(sizes, sizes[1:], strict=False):
        assert len(chosen[small]) == small
        assert chosen[small] < chosen[big]
        assert chosen[small] == {i.id for i in limit_items(mixed[::-1], small)}
    assert Counter(i.label for i in limit_items(mixed, 100)) == {"yes": 55, "no": 34, "maybe": 11}
    assert Counter(i.label for i in limit_items(mixed, 3)) == {"yes": 1, "no": 1, "maybe": 1}
    assert Counter(i.label for i in limit_items(mixed, 2)) == {"yes": 1, "no": 1}
    some = limit_items(mixed, 100)
    assert some == [i for i in mixed if i in some]
    assert limit_items(mixed, None) == limit_items(mixed, 1000) == limit_items(mixed, 5000) == mixed


def test_limit_in_a_run(tmp_path, capsys):
    raw = make_task({"items": write_csv(tmp_path / "raw.csv", make_rows(100, ones=0.1))})
    whole = {split: run_data_step(tmp_path, capsys, raw).ids(split) for split in ALL}
    done = run_data_step(tmp_path, capsys, raw, limit={"train": 10, "test": 3})
    assert [len(done.ids(split)) for split in ALL] == [10, 20, 3]
    assert all(set(done.ids(split)) <= set(whole[split]) for split in ALL)
    facts = done.summary["tasks"]["t"]["splits"]
    assert [facts[split]["items_before_limit"] for split in ALL] == [60, 20, 20]
    assert facts["train"]["labels"] == {"no": 9, "yes": 1}
    assert done.summary["limit"] == {"train": 10, "validation": None, "test": 3}
    assert done.set_aside() == []


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ((12, 4, 4), (12, 4, 4)),
        ((8, 4, 2), (8, 4, 2)),
        ((0.5, 0.25, 0.25), (10, 5, 5)),
        ((0.7, 0.15, 0.15), (14, 3, 3)),
    ],
)
def test_random_rule(tmp_path, capsys, sizes, counts):
    split = {"rule": "random", **dict(zip(ALL, sizes, strict=True))}
    done = run_data_step(tmp_path, capsys, make_task({"items": write_csv(tmp_path / "raw.csv", make_rows(20))}, split))
    assert tuple(len(done.ids(name)) for name in ALL) == counts
    left = done.set_aside()
    assert len(left) == 20 - sum(counts)
    assert all(reason == "not drawn" for *_, reason in left)
    assert len({i for name in ALL for i in done.ids(name)} | {i for _, _, i, _ in left}) == 20


def test_random_rule_depends_on_its_seed(tmp_path, capsys):
    raw = write_csv(tmp_path / "raw.csv", make_rows(40))
    split = {"rule": "random", "train": 20, "validation": 10, "test": 10}
    tests = [
        run_data_step(tmp_path, capsys, make_task({"items": raw}, split | {"seed": seed})).ids("test")
        for seed in (0, 0, 1)
    ]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize("group", [None, "post"])
def test_files_rule_draws_validation_from_train(tmp_path, capsys, group):
    files = {
        "train": write_csv(tmp_path / "a.csv", make_rows(100, ones=0.3, post=lambda n: f"p{n // 2}")),
        # Ids start anew, and a post goes on in the other file: the data's own split, so counted and kept.
        "test": write_csv(tmp_path / "b.csv", make_rows(30, text=lambda n: f"other {n}", post=lambda n: f"p{n * 7}")),
    }
    split = {"rule": "files", "validation_share": 0.15}
    done = run_data_step(tmp_path, capsys, make_task(files, split, group=group))
    assert [len(done.ids(name)) for name in ALL] == [pytest.approx(85, abs=1), pytest.approx(15, abs=1), 30]
    facts = done.summary["tasks"]["t"]
    assert facts["splits"]["validation"]["labels"]["yes"] == pytest.approx(4.5, abs=1.5)
    assert facts["groups_across_splits"] == (8 if group else None)
    assert list(facts["files"]) == ["train", "test"]
    posts = [{int(i[1:]) // 2 for i in done.ids(name)} for name in ("train", "validation")]
    assert bool(posts[0] & posts[1]) is (group is None)


def test_files_rule_with_a_validation_file(tmp_path, capsys):
    files = {
        role: write_csv(
            tmp_path / f"{role}.csv", make_rows(10, id=lambda n, r=role: f"{r}{n}", text=lambda n, r=role: r + str(n))
        )
        for role in ("a", "b", "c", "unused")
    }
    done = run_data_step(
        tmp_path, capsys, make_task(files, {"rule": "files", "train": "a", "validation": "b", "test": "c"})
    )
    assert [done.ids(name)[0] for name in ALL] == ["a0", "b0", "c0"]
    assert [len(done.ids(name)) for name in ALL] == [10, 10, 10]
    assert list(done.summary["tasks"]["t"]["files"]) == ["a", "b", "c"]


def test_ids_rule_with_lists(tmp_path, capsys):
    """Ids may be numbers, come from several files, name a broken row, or leave rows out."""
    records = make_rows(20, id=lambda n: n)
    records[3]["text"] = "#NAME?"
    files = {"a": write_csv(tmp_path / "a.csv", records[:10]), "b": write_csv(tmp_path / "b.csv", records[10:])}
    (tmp_path / "ids.json").write_text(
        json.dumps({"source": "made", "train": [*range(2, 14)], "validation": ["14", "15"], "test": [16, 17, 0]})
    )
    done = run_data_step(tmp_path, capsys, make_task(files, {"rule": "ids", "ids": str(tmp_path / "ids.json")}))
    assert done.ids("train") == [str(n) for n in range(2, 14) if n != 3]
    assert (done.ids("validation"), done.ids("test")) == (["14", "15"], ["0", "16", "17"])
    assert done.set_aside() == [
        ("a.csv", "2", "1", "not in the split file"),
        ("a.csv", "4", "3", "unreadable text"),
        ("b.csv", "9", "18", "not in the split file"),
        ("b.csv", "10", "19", "not in the split file"),
    ]


@pytest.mark.parametrize("fold", [0, 2])
def test_ids_rule_with_folds(tmp_path, capsys, fold):
    folds = [[f"i{n}" for n in range(start, start + 5)] for start in (0, 5, 10)]
    (tmp_path / "ids.json").write_text(json.dumps({"test": [f"i{n}" for n in range(15, 20)], "folds": folds}))
    raw = write_csv(tmp_path / "raw.csv", make_rows(20))
    done = run_data_step(
        tmp_path, capsys, make_task({"items": raw}, {"rule": "ids", "ids": str(tmp_path / "ids.json"), "fold": fold})
    )
    assert done.ids("validation") == folds[fold]
    assert done.ids("train") == [i for k, ids in enumerate(folds) if k != fold for i in ids]
    assert done.ids("test") == [f"i{n}" for n in range(15, 20)]
