"""Statements that run under a caller's search path qualify all that they name.

A role that may create objects in a schema on that path could otherwise put an operator, a function, a type, a table or a
collation there that fits better than that of pg_catalog, and have it run with the rights of whoever runs the statement.
What a file of sql/run/ says in its first comment tells whose path it is: "as the caller". All others run under
`search_path = pg_catalog, pg_temp` (src/sys/spi.rs).

Needs pglast, PostgreSQL's own parser: scripts/setup.sh installs it for scripts/test.sh.
"""
import pathlib
import re
import sys

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind
from pglast.visitors import Visitor

ROOT = pathlib.Path(__file__).resolve().parent.parent
CALLER = re.compile(r"\bas (the|a) caller\b|\bPart of search_lexical\.sql\b")
# What stands in the place of a placeholder of src/sys/spi.rs; else a qualified name, which is a column, table or type alike.
PLACEHOLDERS = {
    "dense": "SELECT 1", "lexical": "SELECT 1", "join_bits": "", "elements": "", "vector": "p", "schema": "p",
    "conditions": "true", "condition": "true", "visible": "true", "keys_equal": "true", "same_document": "true",
    "limit": "1", "count": "1", "depth": "1", "most": "1", "from": "p.p c",
}
QUALIFIED = "OPERATOR(pg_catalog.=)"


class Unqualified(Visitor):
    """Collects what a statement names without a schema, and what the grammar has no schema for."""

    def __init__(self, ctes):
        super().__init__()
        self.ctes = ctes
        self.found = []

    def name(self, what, names):
        if names is not None and len(names) < 2:
            self.found.append(f"{what} {names[-1].sval}")

    def visit_A_Expr(self, _, node):
        if node.kind in (A_Expr_Kind.AEXPR_OP, A_Expr_Kind.AEXPR_OP_ANY, A_Expr_Kind.AEXPR_OP_ALL):
            self.name("operator", node.name)
        else:
            kind = A_Expr_Kind(node.kind).name.removeprefix("AEXPR_")
            self.found.append(f"{kind}, which finds its operator on the path: write {QUALIFIED}")

    def visit_CaseExpr(self, _, node):
        if node.arg is not None:
            self.found.append(f"CASE x WHEN y, which finds its operator on the path: write CASE WHEN x {QUALIFIED} y")

    def visit_JoinExpr(self, _, node):
        if node.usingClause or node.isNatural:
            self.found.append(f"JOIN USING or NATURAL, which finds its operator on the path: write ON a {QUALIFIED} b")

    def visit_SubLink(self, _, node):
        if node.testexpr is not None and node.operName is None:
            self.found.append(f"IN (SELECT), which finds its operator on the path: write {QUALIFIED} ANY (SELECT)")
        elif node.testexpr is not None:
            self.name("operator", node.operName)

    def visit_FuncCall(self, _, node):
        self.name("function", node.funcname)

    def visit_TypeName(self, _, node):
        self.name("type", node.names)

    def visit_TypeCast(self, _, node):
        if isinstance(node.arg, ast.A_Const) and isinstance(node.arg.val, ast.String):
            type_name, text = node.typeName.names[-1].sval, node.arg.val.sval
            if type_name.startswith("reg") and "." not in text and not text.isdigit():
                self.found.append(f"'{text}'::{type_name}")

    def visit_CollateClause(self, _, node):
        self.name("collation", node.collname)

    def visit_SortBy(self, _, node):
        self.name("operator", node.useOp)

    def visit_RangeVar(self, _, node):
        if node.schemaname is None and node.relname not in self.ctes:
            self.found.append(f"relation {node.relname}")


def unqualified(sql, outer=()):
    """What the statements in `sql` name without a schema; `outer` are WITH queries that a larger statement has."""
    found = []
    for statement in parse_sql(sql):
        ctes = set(outer)

        class Ctes(Visitor):
            def visit_CommonTableExpr(self, _, node):
                ctes.add(node.ctename)

        Ctes()(statement)
        visitor = Unqualified(ctes)
        visitor(statement)
        found += visitor.found
    return found


def filled(template, path):
    """A template with something for each placeholder. One in front of a name, as in "{matched}lexical AS", is more of a list."""
    template = re.sub(r"\{\w+\}(?=\w)", "", template)
    template = re.sub(r"(?<=[\w)])\{\w+\}", "", template)
    return re.sub(r"\{(\w+)\}", lambda m: PLACEHOLDERS.get(m[1], f"p.{m[1]}"), template)


def header(text):
    """The comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def included(path):
    """The files of sql/run/ that a Rust file runs."""
    return set(re.findall(r'statement!\("([\w/]+)"\)', path.read_text()))


def check():
    failures, checked = [], set()
    for path in sorted((ROOT / "sql/run").rglob("*.sql")):
        text = path.read_text()
        if not CALLER.search(header(text)):
            continue
        name = path.relative_to(ROOT / "sql/run").with_suffix("").as_posix()
        checked.add(name)
        try:
            found = unqualified(filled(text, path), {"matched"} if "Part of" in header(text) else ())
        except Exception as error:  # pglast's own error classes are of no use here
            found = [f"cannot be read: {error}"]
        failures += [f"sql/run/{name}.sql: {what}" for what in found]
    # A file that runs under the caller's path says so.
    for rust in sorted((ROOT / "src").rglob("*.rs")):
        if not re.search(r"use .*\bread_as_caller|plan::read_as_caller", rust.read_text()):
            continue
        for name in sorted(included(rust) - checked):
            if not re.search(r"\b(extension|source)'s owner\b", header((ROOT / "sql/run" / f"{name}.sql").read_text())):
                failures.append(f"sql/run/{name}.sql: {rust.relative_to(ROOT)} runs it, and its first comment does not say: as the caller")
    return failures, len(checked)


def self_test():
    """Each of these has to be found: the check would be worth nothing if it passed everything."""
    bad = [
        "SELECT a = b FROM x.y", "SELECT a OPERATOR(pg_catalog.=) b FROM y", "SELECT a IN (1, 2) FROM x.y",
        "SELECT a NOT IN (1, 2) FROM x.y", "SELECT a BETWEEN 1 AND 2 FROM x.y", "SELECT a IS DISTINCT FROM 1 FROM x.y",
        "SELECT NULLIF(a, 1) FROM x.y", "SELECT CASE a WHEN 1 THEN 2 END FROM x.y", "SELECT 1 FROM x.y JOIN x.z USING (a)",
        "SELECT 1 FROM x.y NATURAL JOIN x.z", "SELECT a LIKE 'x' FROM x.y", "SELECT (a, b) < (1, 2) FROM x.y",
        "SELECT a IN (SELECT 1) FROM x.y", "SELECT a = ANY (SELECT 1) FROM x.y", "SELECT a = ALL ('{}') FROM x.y",
        "SELECT a::text FROM x.y", "SELECT a::int8[] FROM x.y", "SELECT count(*) FROM x.y", "SELECT 1 FROM unnest(ARRAY[1])",
        "SELECT a COLLATE \"C\" FROM x.y", "SELECT 'pg_class'::pg_catalog.regclass", "SELECT -a FROM x.y",
        "SELECT a SIMILAR TO 'x' FROM x.y", "SELECT 1 FROM x.y ORDER BY a USING <",
    ]
    good = "WITH c AS (SELECT pg_catalog.count(*) AS n FROM x.y WHERE a::int OPERATOR(pg_catalog.=) 1 AND b IS NULL) SELECT n FROM c"
    missed = [sql for sql in bad if not unqualified(sql)]
    assert not missed, f"not found: {missed}"
    assert not unqualified(good), unqualified(good)


if __name__ == "__main__":
    self_test()
    failures, checked = check()
    print("\n".join(failures) if failures else f"{checked} statements qualify all that they name")
    sys.exit(1 if failures or checked == 0 else 0)
