"""What the policy scanner finds is mended or excepted, resource by resource; it runs in the pipelines itself."""

import re

from infra.policies.scan import Finding, exceptions, judge

APP, OTHER = "Web/sites.func-tandem-dev-abc", "Web/sites.another"
KNOWN = {"CKV_1": {"Web/sites.func-tandem-*": "a reason"}}


def test_an_exception_is_for_the_resource_that_it_names_and_no_other() -> None:
    assert judge([Finding("CKV_1", APP, "a rule")], KNOWN) == []
    assert judge([Finding("CKV_1", APP, "a rule"), Finding("CKV_1", OTHER, "a rule")], KNOWN) == [
        f"CKV_1 on {OTHER}: a rule"
    ]
    assert judge([Finding("CKV_2", APP, "a rule"), Finding("CKV_1", APP, "a rule")], KNOWN) == [
        f"CKV_2 on {APP}: a rule"
    ]


def test_an_exception_that_nothing_needs_is_told() -> None:
    assert judge([], KNOWN) == ["nothing needs the exception CKV_1 on Web/sites.func-tandem-* any more"]


def test_every_exception_names_a_resource_of_ours_and_has_a_reason() -> None:
    assert len(exceptions()) > 20
    for check, places in exceptions().items():
        assert re.fullmatch(r"CKV2?_AZURE_\d+", check)
        for place, reason in places.items():
            assert re.match(r"[A-Z]\w+/[\w/]+\.\w[\w-]*tandem", place), f"{check} on {place} is for anything"
            assert len(reason) > 10
