"""An import contract between a package and one of its rooms."""

from typing import Any, override

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomContract(Contract):
    """What is in the package beside a room does not import the room, which is built on it."""

    package: Any = fields.StringField()
    room: Any = fields.StringField()

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        room = f"{self.package}.{self.room}"
        found = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if _within(importer, self.package) and not _within(importer, room)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if _within(imported, room)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}", bold=False)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
