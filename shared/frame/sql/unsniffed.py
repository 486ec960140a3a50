"""Questions whose parameters stay out of the plans that Azure SQL keeps.

A plan has the values that its parameters had when it was made (`ParameterCompiledValue`), in the plan cache and, for a
month, in the Query Store, where no erasure finds them. The optimizer does not see the value of a local variable.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import replacement_traverse


class Unsniffed(sa.Select[Any]):
    """A SELECT that looks for personal data; on Azure SQL its parameters are local variables of a batch."""

    inherit_cache = True


@compiles(Unsniffed, "mssql")
def _with_local_variables(statement: Unsniffed, compiler: Any, **options: Any) -> str:
    parameters: dict[str, BindParameter[Any]] = {}

    def as_variable(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter):
            return None
        parameters[element.key] = element
        return sa.literal_column(f"@{element.key}", element.type)

    asking = replacement_traverse(statement, {}, as_variable)
    question = compiler.visit_select(asking, **options)
    declared = ", ".join(
        # a variable takes the collation of the column that it is compared with
        f"@{name} {each.type.compile(compiler.dialect).partition(' COLLATE ')[0]} = {compiler.process(each)}"
        for name, each in parameters.items()
    )
    return f"SET NOCOUNT ON; DECLARE {declared}; {question}"
