"""Names are found however they are typed."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.domain.words import folded, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Large Teapot", ["large", "teapot"]),
        ("CAFÉ crème", ["cafe", "creme"]),
        ("Cafe\u0301", ["cafe"]),  # the accent as a mark of its own
        ("Straße", ["strasse"]),
        ("\uff34\uff25\uff21\u3000\uff50\uff4f\uff54", ["tea", "pot"]),  # full width
        ("\ufb01ne", ["fine"]),  # a ligature
        ("İstanbul", ["istanbul"]),
        ("\u03a3\u039f\u03a6\u038c\u03a3", ["\u03c3\u03bf\u03c6\u03bf\u03c3"]),
        ("Vitamin C 500mg", ["vitamin", "c", "500mg"]),
        ("tea, tea & Tea-pot", ["tea", "pot"]),
        ("🫖 teapot", ["🫖", "teapot"]),
        ("👩\u200d🍳", ["👩", "🍳"]),
        ("שָׁלוֹם", ["שלום"]),
        ("شَاي", ["شاي"]),
        ("चाय की", ["चाय", "की"]),
        ("茶壺", ["茶壺"]),
        ("\u0301\u0308", []),
        ("' OR 1=1 --", ["or", "1"]),
        ('") OR true', ["or", "true"]),
        ("", []),
    ],
)
def test_words_are_compared_without_case_accents_and_punctuation(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text(max_size=200))
def test_however_a_text_is_composed_and_cased_its_words_are_the_same(text: str) -> None:
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(unicodedata.normalize("NFC", text))
    assert words_of(folded(text)) == words_of(text)


@given(st.text(max_size=200))
def test_a_word_has_no_blank_and_is_there_once(text: str) -> None:
    words = words_of(text)
    assert all(word and word == "".join(word.split()) for word in words)
    assert len(set(words)) == len(words)
