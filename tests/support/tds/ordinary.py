"""What the server answers by itself: enough for SQLAlchemy to connect, and a row count of 0 to all else."""

import re

from tests.support.tds.messages import Answer, Done, Request, Rows
from tests.support.tds.tokens import VERSION

_ASKED = {
    "SERVERPROPERTY('ProductVersion')": ("varchar(128)", ".".join(map(str, VERSION))),
    "schema_name()": ("nvarchar(128)", "dbo"),
    "test max support": ("nvarchar(max)", "test max support"),
    "sys.system_views": ("nvarchar(128)", "dm_exec_sessions"),
    "transaction_isolation_level": ("nvarchar(32)", "READ COMMITTED"),
    "SELECT 1": ("int", 1),
    "@@TRANCOUNT": ("int", 0),
}
"""Parts of the questions that SQLAlchemy asks of a new connection, and their answers' type and value."""

_DESCRIBED = (
    *(("parameter_ordinal", "int"), ("name", "nvarchar(128)")),
    *(("suggested_system_type_id", "int"), ("suggested_system_type_name", "nvarchar(256)")),
    *(("suggested_max_length", "smallint"), ("suggested_precision", "tinyint"), ("suggested_scale", "tinyint")),
    *(("suggested_user_type_id", "int"), ("suggested_user_type_database", "nvarchar(128)")),
    *(("suggested_user_type_schema", "nvarchar(128)"), ("suggested_user_type_name", "nvarchar(128)")),
    *(("suggested_assembly_qualified_type_name", "nvarchar(4000)"), ("suggested_xml_collection_id", "int")),
    *(("suggested_xml_collection_database", "nvarchar(128)"), ("suggested_xml_collection_schema", "nvarchar(128)")),
    *(("suggested_xml_collection_name", "nvarchar(128)"), ("suggested_is_xml_document", "bit")),
    *(("suggested_is_case_sensitive", "bit"), ("suggested_is_fixed_length_clr_type", "bit")),
    *(("suggested_is_input", "bit"), ("suggested_is_output", "bit"), ("formal_parameter_name", "nvarchar(128)")),
    *(("suggested_tds_type_id", "int"), ("suggested_tds_length", "int")),
)
"""The result of sp_describe_undeclared_parameters, as its documentation lists it."""

_TYPE_INFO = (
    *(("TYPE_NAME", "nvarchar(128)"), ("DATA_TYPE", "smallint"), ("PRECISION", "int")),
    *(("LITERAL_PREFIX", "varchar(32)"), ("LITERAL_SUFFIX", "varchar(32)"), ("CREATE_PARAMS", "varchar(32)")),
    *(("NULLABLE", "smallint"), ("CASE_SENSITIVE", "smallint"), ("SEARCHABLE", "smallint")),
    *(("UNSIGNED_ATTRIBUTE", "smallint"), ("MONEY", "smallint"), ("AUTO_INCREMENT", "smallint")),
    *(("LOCAL_TYPE_NAME", "nvarchar(128)"), ("MINIMUM_SCALE", "smallint"), ("MAXIMUM_SCALE", "smallint")),
    *(("SQL_DATA_TYPE", "smallint"), ("SQL_DATETIME_SUB", "smallint"), ("NUM_PREC_RADIX", "int")),
    *(("INTERVAL_PRECISION", "smallint"), ("USERTYPE", "smallint")),
)
"""The result of sp_datatype_info_100, from whose third column pyodbc takes the greatest lengths."""

_LENGTHS = {12: ("varchar", 8000), -9: ("nvarchar", 4000), -3: ("varbinary", 8000), 93: ("datetime2", 27)}
"""Those lengths, by ODBC's numbers of the types."""

_NVARCHAR_4000 = (231, "nvarchar(4000)", 8000, 0, 0)


def ordinary(request: Request) -> Answer:
    """Answer as any server would that holds nothing."""
    if request.procedure == "sp_describe_undeclared_parameters":
        return _described(request.text)
    if request.procedure == "sp_datatype_info_100":
        name, length = _LENGTHS[request.values[0]]
        return Rows(_TYPE_INFO, [(name, request.values[0], length, *[None] * 3, 1, 0, 3, *[None] * 11)])
    for part, (kind, value) in _ASKED.items():
        if request.kind in {"batch", "rpc"} and not request.prepares and part in request.text:
            return Rows([("", kind)], [[value]])
    return Done(0)


def _described(text: str) -> Rows:
    """Say of each parameter that it might be nvarchar(4000)."""
    names = sorted(set(re.findall(r"@P\d+", text)), key=lambda name: int(name[2:]))
    rest = (*[None] * 9, False, False, False, True, False, None, 231, 8000)
    rows = [(number, name, *_NVARCHAR_4000, *rest) for number, name in enumerate(names, start=1)]
    return Rows(_DESCRIBED, rows)
