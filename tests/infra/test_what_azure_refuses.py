"""What deploy.sh waits for when Azure refuses it, and what it ends at."""

import json

import pytest

from tests.infra.azure import CLOSED_NETWORK, UNDER_WAY, Azure, committed, this_month

NO_ROLE_YET = "ERROR: \nYou do not have the required permissions needed to perform this operation.\nDepending on ..."
NO_STORAGE_YET = (
    "ERROR: Zip deployment failed. {'status': 3}. These are the deployment logs: \n[BlobUploadFailedException: Failed "
    "to upload blob to storage account: Response status code does not indicate success: 403 (This request is not "
    "authorized to perform this operation using this permission.).]"
)
NO_RIGHT_YET = (
    "ERROR: (AuthorizationFailed) The client 'x' with object id 'x' does not have authorization to perform action 'y' "
    "over scope 'z' or the scope is invalid. If access was recently granted, please refresh your credentials."
)
NO_RIGHT_ON_THE_HUB = (
    "ERROR: (LinkedAuthorizationFailed) The client 'x' with object id 'x' has permission to perform action "
    "'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/write' on scope 'y'; however, it does not have "
    "permission to perform action(s) 'Microsoft.Network/virtualNetworks/peer/action' on the linked scope(s) 'z' ..."
)
NO_BUDGETS = [
    'ERROR: Not Found({"error":{"code":"NotFound","message":"Cost management data is not supported for x"}})',
    'ERROR: Forbidden({"error":{"code":"RBACAccessDenied","message":"The client does not have authorization to ..."}})',
    'ERROR: Bad Request({"error":{"message":"Subscription x is not associated with a valid offer type."}})',
]
BUSY = [
    'ERROR: {"code": "DeploymentFailed", "details": [{"code": "RetryableError", "message": "A retryable error ..."}]}',
    "ERROR: (ReferencedResourceNotProvisioned) Cannot proceed with operation because resource x used by resource y ...",
    "ERROR: (AnotherOperationInProgress) Another operation on this or dependent resource is in progress.",
    "ERROR: (StorageAccountOperationInProgress) An operation is currently performing on this storage account that ...",
    "ERROR: (BadRequest) Please retry as possibly multiple shared RU collection creates are competing",
    "ERROR: (MessagingGatewayTooManyRequests) SubCode=40901. Another conflicting operation is in progress. To know ...",
    "ERROR: (MessagingGatewayTooManyRequests) SubCode=50004. The request was terminated because the namespace x is ...",
]


def test_a_token_that_is_needed_late_was_fetched_in_time(azure: Azure) -> None:
    azure.tell(passing={"storage blob exists": [1, NO_ROLE_YET]})  # waiting takes longer than the sign-in is good for
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 0, ran.stderr
    assert "AADSTS700024" not in ran.stderr


def test_a_sign_in_that_is_too_old_is_said_at_once_and_nothing_is_deployed(azure: Azure) -> None:
    azure.tell(minutes=60)
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert ran.stderr.count("AADSTS700024") == 1
    assert "sign in again, and run the stage again" in ran.stderr
    assert azure.commands() == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("deployment group create", NO_RIGHT_YET),
        ("rest", NO_RIGHT_YET),
        ("storage blob exists", NO_ROLE_YET),
        ("storage blob upload", NO_ROLE_YET),
        ("functionapp deployment source config-zip", NO_STORAGE_YET),
        ("functionapp deployment source config-zip", UNDER_WAY),
    ],
)
def test_what_a_role_given_minutes_ago_does_not_allow_yet_is_waited_for(azure: Azure, command: str, said: str) -> None:
    azure.tell(passing={command: [2, said]})
    ran = azure.deploy("dev", "infrastructure", "application")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("once more in 0 s") == 2
    assert azure.runs() == committed()
    assert (azure.state / "last-good.zip").exists()


@pytest.mark.parametrize("said", BUSY)
def test_what_is_still_being_changed_is_waited_for(azure: Azure, said: str) -> None:
    azure.tell(passing={"deployment group create": [1, said]})
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert azure.commands() == ["deployment group create", "deployment group create"]


def test_a_role_that_never_comes_ends_the_deployment_before_a_package_is_sent(azure: Azure) -> None:
    azure.tell(refused={"storage blob exists": NO_ROLE_YET})
    ran = azure.deploy("dev", "application", ROLE_SECONDS="1")
    assert ran.returncode == 1
    assert ran.stderr.count("required permissions") > 1
    assert azure.commands() == []


def test_it_waits_for_a_role_by_the_clock_and_not_by_how_often_it_asked(azure: Azure) -> None:
    """A deployment of the infrastructure takes minutes before it is refused: twenty of them took hours."""
    azure.tell(refused={"deployment group create": NO_RIGHT_YET}, slow=1.5)
    ran = azure.deploy("dev", "infrastructure", ROLE_SECONDS="2")
    assert ran.returncode == 1
    assert 1 < azure.commands().count("deployment group create") <= 3


def test_a_right_on_something_that_is_only_named_is_not_waited_for(azure: Azure) -> None:
    azure.tell(refused={"deployment group create": NO_RIGHT_ON_THE_HUB})
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 1
    assert "LinkedAuthorizationFailed" in ran.stderr
    assert azure.commands() == ["deployment group create"]


@pytest.mark.parametrize("command", ["storage blob exists", "storage blob download"])
def test_a_closed_network_is_not_waited_for_nor_taken_for_a_first_deployment(azure: Azure, command: str) -> None:
    azure.last_good()
    azure.tell(refused={command: CLOSED_NETWORK})
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert ran.stderr.count("network rules") == 1
    assert "config-zip" not in str(azure.commands())


def test_a_budget_keeps_the_month_that_it_began_with_even_after_a_deployment_that_failed(azure: Azure) -> None:
    azure.tell(refused={"deployment group create": "ERROR: (Conflict) something else"})
    before = this_month()
    assert azure.deploy("dev", "infrastructure").returncode == 1
    assert (azure.state / "budget").read_text() in {before, this_month()}
    assert set(json.loads((azure.state / "outputs.json").read_text()).values()) == {None}

    (azure.state / "budget").write_text("2026-02-01")  # and a month passes
    azure.tell(refused={})
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert (azure.state / "budget").read_text() == "2026-02-01"


@pytest.mark.parametrize("said", NO_BUDGETS)
def test_a_subscription_that_takes_no_budget_gets_everything_else(azure: Azure, said: str) -> None:
    azure.tell(refused={"rest": said})
    ran = azure.deploy("dev", "preview", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert "Azure takes no budget in this subscription now" in ran.stderr
    assert not (azure.state / "budget").exists()
    assert azure.commands() == ["deployment group what-if", "deployment group create"]
    assert azure.deploy("dev", "budget").stdout == "none\n"  # azd's

    (azure.state / "budget").write_text("2026-02-01")  # it had one, and the charges were hidden since
    assert azure.deploy("dev", "infrastructure").returncode == 0
    assert (azure.state / "budget").read_text() == "2026-02-01"


@pytest.mark.parametrize(
    "said", ["Bad Gateway(x)", 'Service Unavailable({"error":{"code":"503"}})', "Too Many Requests(x)"]
)
def test_a_budget_that_cannot_be_read_stays_as_it_is_and_no_deployment_waits_for_it(azure: Azure, said: str) -> None:
    azure.tell(refused={"rest": f"ERROR: {said}"})
    (azure.state / "budget").write_text("2026-02-01")
    ran = azure.deploy("dev", "preview", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert "Azure does not tell the budget: one that is there stays" in ran.stderr
    assert azure.commands() == ["deployment group what-if", "deployment group create"]
    assert (azure.state / "budget").read_text() == "2026-02-01", "another month would have been refused"


def test_a_group_that_cannot_be_looked_for_is_not_taken_for_a_missing_one(azure: Azure) -> None:
    azure.tell(refused={"group exists": "ERROR: (InternalServerError) try later"})
    for stage in ("preview", "infrastructure"):
        ran = azure.deploy("dev", stage)
        assert ran.returncode == 1
        assert "there is no resource group" not in ran.stdout
    assert azure.commands() == []
