// Reads {tables: {name: schema}, queries: [text]} from standard input; writes what Microsoft's language service has to say of
// each query, parsed and bound against those tables: a list of messages for each.
require("@kusto/language-service-next/bridge.js");
require("@kusto/language-service-next");

const { tables, queries } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const { GlobalState, KustoCode, Symbols } = Kusto.Language;
const known = Object.entries(tables).map(([name, schema]) => Symbols.TableSymbol.From(schema).WithName(name));
const workspace = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1("workspace", known, false));
const said = (query) => Bridge.toArray(KustoCode.ParseAndAnalyze(query, workspace).GetDiagnostics()).map((each) => each.Message);
console.log(JSON.stringify(queries.map(said)));
