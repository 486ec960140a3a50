"""All tests, and what they share."""

import pytest

pytest.register_assert_rewrite("tests.support", "tests.kit", "tests.e2e")  # what they assert says what it compared
