"""Words of names, as searching compares them: without case and accents, and whatever way they were typed."""

import unicodedata

SHORTEST_PREFIX = 2
"""Letters from which the beginning of a word stands for the word; a single letter is a word by itself."""


def folded(text: str) -> str:
    """Write a text in the one way in which all ways to write it agree: NFKC, case folded, no accents.

    Accents are the marks that have a combining class. Others, such as the vowel signs of Devanagari, are letters to
    those who read them.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return unicodedata.normalize("NFKC", bare)


def words_of(text: str) -> list[str]:
    """Give the words of a text, folded, each once, in its order."""
    return list(dict.fromkeys("".join(map(_part, folded(text))).split()))


def _part(character: str) -> str:
    """Keep letters, their marks and digits; make a picture, such as an emoji, a word by itself."""
    category = unicodedata.category(character)
    if category == "So":
        return f" {character} "
    return character if category[0] in "LN" or category in {"Mn", "Mc"} else " "
