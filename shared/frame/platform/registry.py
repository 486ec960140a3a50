"""Names, each of which is given once."""

from collections.abc import MutableMapping


def add_once[Named](among: MutableMapping[str, Named], name: str, named: Named) -> None:
    """Give a name to something.

    Raises:
        ValueError: something has that name, and nobody would find it any more.
    """
    if name in among:
        raise ValueError(f"'{name}' is declared twice")
    among[name] = named
