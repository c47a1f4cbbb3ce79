"""Texts count in words that fit the number."""

from __future__ import annotations

import pytest
from ansible_collections.zerospof.temporal.plugins.module_utils import _text


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ["host"], "0 hosts"),
        (1, ["host"], "1 host"),
        (2, ["host"], "2 hosts"),
        (1, ["batch", "batches"], "1 batch"),
        (2, ["batch", "batches"], "2 batches"),
    ],
)
def test_a_number_and_its_noun_fit(number: int, words: list[str], text: str) -> None:
    assert _text.counted(number, *words) == text


@pytest.mark.parametrize(
    ("problems", "text"),
    [
        (["one"], "1 problem with the hosts; nothing was changed:\n  - one"),
        (["one", "two"], "2 problems with the hosts; nothing was changed:\n  - one\n  - two"),
    ],
)
def test_a_refusal_counts_its_problems_and_lists_them(problems: list[str], text: str) -> None:
    assert _text.refusal_text(problems, "the hosts") == text
