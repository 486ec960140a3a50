"""An import contract that names what may be imported, where import-linter's own name what may not."""

import sys
from typing import Any, override

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

# import-linter's fields are descriptors of their own kind, typed as what they declare and not as what they give
STDLIB = sys.stdlib_module_names


class OnlyContract(Contract):
    """The modules, and all below them, import each other, what is named, and the standard library; nothing else."""

    modules: Any = fields.ListField(subfield=fields.StringField())
    may_import: Any = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        allowed = [*self.modules, *self.may_import]
        found = [
            (importer, imported)
            for importer in sorted(graph.modules)
            if _within(importer, self.modules)
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not (_within(imported, allowed) or imported.partition(".")[0] in STDLIB)
        ]
        return ContractCheck(kept=not found, metadata={"found": found})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["found"]:
            output.print_error(f"{importer} imports {imported}", bold=False)


def _within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
