"""The service's refusals of requests."""

CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
"""The `code` of an error's body by status.
https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb"""


class CosmosError(Exception):
    """A refusal: HTTP status, sub-status (0: none) and message."""

    def __init__(self, status: int, message: str, substatus: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.substatus = substatus
        self.more: dict[str, str] = {}

    def body(self) -> dict[str, str]:
        """The error as the clients read it."""
        return {"code": CODES.get(self.status, "BadRequest"), "message": self.message, **self.more}


class BadRequestError(CosmosError):
    """The request is wrong, or needs a feature that this engine lacks."""

    def __init__(self, message: str, substatus: int = 0) -> None:
        super().__init__(400, message, substatus)
