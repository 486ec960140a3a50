"""Who gets in, by which token, and what becomes of it."""

import subprocess
import sys

from playwright.sync_api import Route, expect

from infra.local.console import address
from shared.frame.http.console import page as page_of
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


def test_no_link_replaces_the_token_of_whoever_is_signed_in(own: Stack, console: Console) -> None:
    page = console.open()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    mine = page.evaluate("sessionStorage.getItem('tandem.console.token')")
    console.go("/why?of=x&token=y")
    expect(page.get_by_text("Nothing is called x")).to_be_visible()
    page.goto(address(own.base_url, "y", "/audit"))
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    assert page.url == f"{own.base_url}/api/ops/console#/audit"
    assert page.evaluate("sessionStorage.getItem('tandem.console.token')") == mine


def test_where_the_platform_signs_in_the_page_leads_there_and_back_and_no_link_brings_a_token(
    own: Stack, console: Console
) -> None:
    def serve(route: Route) -> None:
        route.fulfill(body=page_of(signed_in_by="platform").body, content_type="text/html")

    page = console.page
    page.route("**/api/ops/console", serve)
    page.route("**/.auth/**", lambda route: route.fulfill(status=404))  # as without a token store
    page.goto(address(own.base_url, own.token("Ops"), "/audit?action=heal"))
    link = page.get_by_role("link", name="Sign in with Microsoft")
    expect(link).to_be_visible()
    back = "%2Fapi%2Fops%2Fconsole%23%2Faudit%3Faction%3Dheal"
    assert link.get_attribute("href") == f"/.auth/login/aad?post_login_redirect_uri={back}"
    assert page.evaluate("sessionStorage.getItem('tandem.console.token')") is None
    assert [each.url for each in console.requests if "/.auth/" in each.url] == []
