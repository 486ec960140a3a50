"""A container's definition: its partition key, default time to live and indexing policy."""

from dataclasses import dataclass, field

from cosmos_engine.errors import BadRequestError
from cosmos_engine.names import check_name
from cosmos_engine.values import Json

DEFAULT_INDEXING: Json = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
INDEXING = {"indexingMode", "automatic", "includedPaths", "excludedPaths", "spatialIndexes", "compositeIndexes"}
SUPPORTED = {"id", "partitionKey", "indexingPolicy", "defaultTtl"}
HARMLESS: dict[str, list[Json]] = {
    "uniqueKeyPolicy": [None, {}, {"uniqueKeys": []}],
    "conflictResolutionPolicy": [
        None,
        {"mode": "LastWriterWins"},
        {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts"},
        {"mode": "LastWriterWins", "conflictResolutionPath": "/_ts", "conflictResolutionProcedure": ""},
    ],
    "geospatialConfig": [None, {"type": "Geography"}],
    "computedProperties": [None, []],
}
"""Values that clients send and that only repeat the defaults."""
LONGEST_TTL = 2**31 - 1
"""Seconds. https://learn.microsoft.com/azure/cosmos-db/nosql/time-to-live"""


@dataclass(slots=True)
class Container:
    """A container as the engine holds it in memory; `sequence` numbers its writes and never goes back."""

    number: int
    database: str
    database_rid: str
    name: str
    rid: str
    etag: str
    timestamp: int
    sequence: int
    definition: dict[str, Json]
    partition_path: tuple[str, ...] = field(init=False)
    default_ttl: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.redefine(self.definition)

    def redefine(self, definition: dict[str, Json]) -> None:
        """Take another definition, which has been checked."""
        self.definition = definition
        self.partition_path = partition_path(definition["partitionKey"]["paths"][0])
        self.default_ttl = definition.get("defaultTtl")

    @property
    def link(self) -> str:
        """Its address by names, by which sessions are distinguished."""
        return f"dbs/{self.database}/colls/{self.name}"

    @property
    def self_link(self) -> str:
        """Its address by resource ids."""
        return f"dbs/{self.database_rid}/colls/{self.rid}/"

    def body(self) -> dict[str, Json]:
        """The container as the clients read it."""
        links = {"_docs": "docs/", "_sprocs": "sprocs/", "_triggers": "triggers/", "_udfs": "udfs/"}
        system = {"_rid": self.rid, "_self": self.self_link, "_etag": self.etag, "_ts": self.timestamp}
        return {**self.definition, **system, **links, "_conflicts": "conflicts/"}


def check(body: Json) -> dict[str, Json]:
    """The definition in the body of a request, with the service's defaults.

    Raises:
        BadRequestError: it is wrong, or needs a feature that this engine lacks.
    """
    if not isinstance(body, dict):
        raise BadRequestError("The input content is invalid: a container is a JSON object.")
    definition = {key: value for key, value in body.items() if not key.startswith("_")}
    for key, harmless in HARMLESS.items():
        if definition.get(key) in harmless:
            definition.pop(key, None)
    if unsupported := sorted(set(definition) - SUPPORTED):
        raise BadRequestError(f"{', '.join(unsupported)} of a container is not supported by this engine.")
    check_name(definition.get("id"))
    definition["partitionKey"] = _check_partition_key(definition.get("partitionKey"))
    definition["indexingPolicy"] = _check_indexing(definition.get("indexingPolicy") or DEFAULT_INDEXING)
    if definition.get("defaultTtl", -1) is None:
        del definition["defaultTtl"]
    if "defaultTtl" in definition:
        check_ttl(definition["defaultTtl"])
    return definition


def check_ttl(ttl: Json) -> int:
    """A time to live in seconds; -1 is for ever.

    Raises:
        BadRequestError: it is neither.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, int) or not (ttl == -1 or 0 < ttl <= LONGEST_TTL):
        raise BadRequestError(
            f"The input ttl '{ttl}' is invalid. Ensure to provide a nonzero positive integer less than or equal to "
            f"'{LONGEST_TTL}', or '-1' which means never expire."
        )
    return ttl


def partition_path(path: str) -> tuple[str, ...]:
    """The property names of a path such as /customerId, /address/city or /"a b"."""
    return tuple(part.strip('"') for part in path.removeprefix("/").split("/"))


def _check_indexing(policy: Json) -> Json:
    if not isinstance(policy, dict):
        raise _invalid_indexing("it is a JSON object")
    policy = {key: value for key, value in policy.items() if value is not None}
    policy = {key: value for key, value in policy.items() if key in INDEXING or value != []}
    if unsupported := sorted(set(policy) - INDEXING):
        raise BadRequestError(f"{', '.join(unsupported)} of an indexing policy is not supported by this engine.")
    mode = policy.get("indexingMode", "consistent")
    if not isinstance(mode, str) or mode.lower() not in ("consistent", "lazy", "none"):
        raise _invalid_indexing("indexingMode is consistent, lazy or none")
    if not isinstance(policy.get("automatic", True), bool):
        raise _invalid_indexing("automatic is true or false")
    lists = [policy.get(key, []) for key in ("includedPaths", "excludedPaths", "spatialIndexes")]
    composites = policy.get("compositeIndexes", [])
    if not isinstance(composites, list) or not all(isinstance(paths, list) for paths in [*lists, *composites]):
        raise _invalid_indexing("its paths are in lists, those of compositeIndexes in lists of lists")
    for entry in [entry for paths in [*lists, *composites] for entry in paths]:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not path.startswith("/"):
            raise _invalid_indexing("each entry is an object with a path, which begins with /")
        if entry.get("order", "ascending") not in ("ascending", "descending"):
            raise _invalid_indexing("the order of a path is ascending or descending")
    return policy


def _invalid_indexing(rule: str) -> BadRequestError:
    return BadRequestError(f"The indexing policy is invalid: {rule}.")


def _check_partition_key(key: Json) -> Json:
    paths = key.get("paths") if isinstance(key, dict) else None
    if not isinstance(paths, list) or not paths:
        raise BadRequestError("The container needs a partition key definition: partitionKey.paths.")
    if len(paths) > 1 or key.get("kind", "Hash") != "Hash":
        raise BadRequestError("Hierarchical partition keys are not supported by this engine: give one path, kind Hash.")
    if not isinstance(paths[0], str) or not paths[0].startswith("/") or "" in partition_path(paths[0]):
        raise BadRequestError(f"The partition key path '{paths[0]}' is invalid: it looks like /customerId.")
    if key.get("version", 2) != 2:  # noqa: PLR2004 -- the version of the hash, in the clients' own words
        raise BadRequestError(
            "Version 1 of the partition key's hash is not supported by this engine: ask for version 2."
        )
    return {"paths": paths, "kind": "Hash", "version": 2}
