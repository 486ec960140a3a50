"""What was replaced is not in the Cosmos engine's file once it has ended: it may be data of an erased person."""

import random
from itertools import count
from pathlib import Path

import pytest

from cosmos_engine import store as cosmos

OF_A_PERSON = "Clermont-Perdu"

STEPS = 3_000
"""In about one of eight series of so many SQLite leaves a copy behind where it has moved a row."""


def documents(file: Path, chance: random.Random) -> None:
    """Write documents in any order, replace them by longer and by shorter ones, and erase all."""
    store = cosmos.Store(str(file))
    store.create_database("d")
    database = store.database("d")
    assert database is not None
    container = store.create_container(database, {"id": "c", "partitionKey": {"paths": ["/p"]}})
    numbers, there = count(1), list[str]()

    def write(id_: str, body: str) -> None:
        number = next(numbers)
        with store.transaction(container):
            item = cosmos.Item("p", id_, number, number, f'"{number}"', 0, None, f'{{"a":"{body}"}}')
            store.save(container, item)

    for _ in range(STEPS):
        if there and chance.random() < 0.5:
            id_ = there[chance.randrange(len(there))]
            write(id_, "z" * chance.randrange(50, 900))
            if chance.random() < 0.5:
                there.remove(id_)
        else:
            id_ = f"{chance.getrandbits(64):x}"
            there.append(id_)
            write(id_, "x" * chance.randrange(50, 900) + OF_A_PERSON + "y" * chance.randrange(400))
            if chance.random() < 0.7:
                write(id_, "x" * chance.randrange(50, 1_200) + OF_A_PERSON + "y" * chance.randrange(700))
    for id_ in there:
        write(id_, "z" * chance.randrange(50, 300))
    store.close()


@pytest.mark.parametrize("seed", [21, 22])
def test_an_engine_that_has_ended_has_nothing_left_of_what_was_erased(seed: int, tmp_path: Path) -> None:
    file = tmp_path / "cosmos.db"
    documents(file, random.Random(seed))
    assert OF_A_PERSON.encode() not in file.read_bytes()
