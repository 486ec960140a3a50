"""Who gets in, by which token, and what becomes of it."""

import subprocess
import sys

from playwright.sync_api import expect

from tests.e2e.console.conftest import Console
from tests.support.stack import ROOT, Stack


def test_dev_py_prints_an_address_whose_token_goes_to_no_server_and_stays_nowhere(own: Stack, console: Console) -> None:
    command = [sys.executable, "-m", "infra.local.console", "--print", "--data", str(own.data)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    token = printed.partition("#token=")[2].partition("&")[0]
    assert token.count(".") == 2
    page = console.page
    page.goto(printed)
    expect(page.get_by_role("status").first).to_contain_text("health: ready")
    assert page.url == f"{own.base_url}/api/ops/console#/overview"
    assert not [each.url for each in console.requests if token in each.url]
    assert token not in own.printed()
    page.reload()
    expect(page.get_by_role("heading", name="Read models")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    console.picture("sign-in")


def test_nobody_sees_anything_without_the_role_and_is_told_which_one(own: Stack, console: Console) -> None:
    page = console.open(token=own.token("Orders.Read"))
    expect(page.get_by_role("heading", name="You are known, and may not operate the system")).to_be_visible()
    assert "403 Forbidden forbidden: This needs the role Ops." in console.text()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Token").fill(own.token("Ops"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
