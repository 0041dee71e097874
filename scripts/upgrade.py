"""Writes the upgrade script from the last release to the version that is being built, and checks it.

    upgrade.py INSTALL_SCRIPT           writes sql/rag_pg--OLD--NEW.sql
    upgrade.py INSTALL_SCRIPT --check   says how the one that is there differs, and what the library lacks

INSTALL_SCRIPT is that of the new version as cargo-pgrx makes it; that of the last release is in sql/releases/. A statement
that the last release has word for word is not repeated. Functions and views are replaced, or dropped and created where
PostgreSQL cannot replace them; comments, privileges, triggers, indexes and new tables are taken over as they stand. Tables
that changed, what was removed from them, and stored formats are written by hand, in sql/upgrades/OLD--NEW.sql, which runs
first. What both leave out shows in tests/t/160_upgrade.pl, which compares an upgraded catalog with a fresh one.

Needs pglast, PostgreSQL's own parser: scripts/setup.sh installs it for scripts/test.sh.
"""
import pathlib
import re
import sys

from pglast import ast, parse_sql
from pglast.enums import FunctionParameterMode as Mode, ObjectType
from pglast.stream import RawStream

ROOT = pathlib.Path(__file__).resolve().parent.parent
INPUT = (Mode.FUNC_PARAM_DEFAULT, Mode.FUNC_PARAM_IN, Mode.FUNC_PARAM_INOUT, Mode.FUNC_PARAM_VARIADIC)
SAFE_PATH = "SET LOCAL search_path = pg_catalog, pg_temp"


class Statement:
    """A statement of a script: its text, the object that it makes or is about."""

    def __init__(self, node, text):
        self.node = node
        # A comment on a line of its own, of ours or of cargo-pgrx, belongs to no statement.
        self.text = re.sub(r"\A(?:\s*(?:--[^\n]*(?:\n|\Z)|/\*.*?\*/))*\s*", "", text, flags=re.S)

    @property
    def key(self):
        """What it creates: a kind and a name. None for all that creates nothing that has a name."""
        node = self.node
        if isinstance(node, ast.CreateFunctionStmt):
            taken = [p for p in node.parameters or () if p.mode in INPUT]
            return "PROCEDURE" if node.is_procedure else "FUNCTION", f"{dotted(node.funcname)}({', '.join(RawStream()(p.argType) for p in taken)})"
        if isinstance(node, ast.ViewStmt):
            return "VIEW", relation(node.view)
        if isinstance(node, ast.CreateStmt):
            return "TABLE", relation(node.relation)
        return None

    @property
    def about(self):
        """The name of the function or relation that a comment or a privilege is of."""
        node = self.node
        names = []
        if isinstance(node, ast.CommentStmt):
            names = [node.object]
        elif isinstance(node, ast.GrantStmt):
            names = node.objects or ()
        found = set()
        for name in names:
            if isinstance(name, ast.ObjectWithArgs):
                found.add(dotted(name.objname))
            elif isinstance(name, ast.RangeVar):
                found.add(relation(name))
            elif isinstance(name, (list, tuple)):
                # Of a column, the relation it is in.
                parts = [part.sval for part in name]
                is_column = isinstance(node, ast.CommentStmt) and node.objtype == ObjectType.OBJECT_COLUMN
                found.add(".".join(parts[:-1] if is_column else parts))
        return found

    def replaceable(self, old):
        """Whether CREATE OR REPLACE can put it in the place of `old`."""
        if isinstance(self.node, ast.ViewStmt):
            before, after = (columns(view.node) for view in (old, self))
            return after[:len(before)] == before
        before, after = (signature(function.node) for function in (old, self))
        return before[:2] == after[:2] and all(name in after[2] for name in before[2])


def dotted(names):
    return ".".join(name.sval for name in names)


def relation(node):
    return f"{node.schemaname}.{node.relname}" if node.schemaname else node.relname


def columns(view):
    """Names of a view's columns."""
    query = view.query
    while query.larg is not None:
        query = query.larg
    return [target.name or target.val.fields[-1].sval for target in query.targetList]


def signature(function):
    """Parameters with modes and types, the result, and which parameters have a default."""
    parameters = [(p.mode if p.mode != Mode.FUNC_PARAM_DEFAULT else Mode.FUNC_PARAM_IN, p.name, RawStream()(p.argType))
                  for p in function.parameters or ()]
    result = RawStream()(function.returnType) if function.returnType else None
    return parameters, result, [p.name for p in function.parameters or () if p.defexpr is not None]


def symbol(function):
    """The library's symbol that a function calls, if it is in C."""
    for option in function.options or ():
        if option.defname == "as" and len(option.arg) == 2:
            return option.arg[1].sval
    return None


def is_strict(function):
    return any(option.defname == "strict" and option.arg.boolval for option in function.options or ())


def statements(text):
    # The parser wants an identifier where PostgreSQL puts the schema.
    sql = text.replace("@extschema@", "extschema").encode()
    raw = parse_sql(sql.decode())
    end = lambda it: it.stmt_location + (it.stmt_len or len(sql))
    return [Statement(it.stmt, sql[it.stmt_location:end(it)].decode()) for it in raw]


def upgrade(old, new, by_hand):
    """The statements that turn the old version's objects into the new one's, after those written by hand."""
    dropped = {dotted_name(name) for it in by_hand if isinstance(it.node, ast.DropStmt) for name in it.node.objects}
    altered = {relation(it.node.relation) for it in by_hand if isinstance(it.node, ast.AlterTableStmt)} | \
              {relation(it.node.relation) for it in by_hand if isinstance(it.node, ast.RenameStmt) and it.node.relation}
    known = {it.text for it in old}
    before = {it.key: it for it in old if it.key and bare(it.key) not in dropped}
    after = {it.key: it for it in new if it.key}
    drops, created, recreated, gone_keys = [], [], set(dropped), set()
    # Of functions of one name, only some may be created anew.
    is_anew = lambda key: key in gone_keys or bare(key) in dropped
    for key, it in before.items():
        gone = key not in after
        if key[0] == "TABLE":
            if gone:
                raise SystemExit(f"table {key[1]} is gone: sql/upgrades/ has to drop it")
        elif gone or not after[key].replaceable(it):
            drops.append(f"DROP {key[0]} {key[1]}")
            recreated.add(bare(key))
            gone_keys.add(key)
    # What the names in a statement are looked up by, where it stands in the script.
    path = in_force = SAFE_PATH
    for it in new:
        key = it.key
        if it.text.startswith("SET LOCAL search_path") or isinstance(it.node, ast.DoStmt) and "set_config('search_path'" in it.text:
            path = it.text
            continue
        before_this = len(created)
        if key in before and it.text == before[key].text and not is_anew(key):
            continue
        if key and key[0] == "TABLE" and key in before:
            if key[1] not in altered:
                raise SystemExit(f"table {key[1]} is another than in the last release: sql/upgrades/ has to alter it")
        elif key in before and not is_anew(key):
            created.append(re.sub(r"\ACREATE\s+(?:OR\s+REPLACE\s+)?", "CREATE OR REPLACE ", it.text))
        elif isinstance(it.node, ast.DoStmt) and it.text not in known:
            # Functions over types whose schema is looked up are created in one.
            created.append(it.text.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
        elif key or it.text not in known or it.about & recreated:
            created.append(it.text)
        if len(created) > before_this and path != in_force:
            created.insert(before_this, path)
            in_force = path
    # Views stand on functions, and on views before them.
    drops.sort(key=lambda drop: not drop.startswith("DROP VIEW"))
    views = [drop for drop in drops if drop.startswith("DROP VIEW")]
    return views[::-1] + drops[len(views):] + created


def bare(key):
    """The name alone, without arguments."""
    return key[1].split("(")[0]


def dotted_name(name):
    if isinstance(name, ast.ObjectWithArgs):
        return dotted(name.objname)
    return dotted(name) if isinstance(name, (list, tuple)) else str(name)


def broken_symbols(old, new, library):
    """Symbols of the last release that the new library lacks, or reads other arguments by: PostgreSQL passes arguments by
    position and believes what is declared. Until ALTER EXTENSION UPDATE, and through pg_upgrade, a database calls the new library
    by the old declarations. `library` are the symbols that src/api/released.rs keeps for them."""
    by_symbol = lambda script: {symbol(it.node): it for it in script if isinstance(it.node, ast.CreateFunctionStmt) and symbol(it.node)}
    after, found = by_symbol(new), []
    for name, it in by_symbol(old).items():
        if name in library:
            continue
        if name not in after:
            found.append(f"{name}: no function calls it any more; add it to src/api/released.rs")
            continue
        (was, result, _), (now, new_result, _) = signature(it.node), signature(after[name].node)
        taken = lambda all: [re.sub(r"^int(eger|4)?$", "int", kind) for mode, _, kind in all if mode in INPUT]
        given = lambda all: [kind for mode, _, kind in all if mode not in INPUT]
        # A value of int is passed as one of bigint is. Arguments that are missing at the end are noticed, and of columns that
        # were added at the end PostgreSQL takes none.
        fits = lambda old, new: old == new or (old, new) == ("int", "bigint")
        if len(taken(was)) > len(taken(now)) or not all(map(fits, taken(was), taken(now))) \
                or given(now)[:len(given(was))] != given(was) or result != new_result and not given(was) \
                or is_strict(after[name].node) and not is_strict(it.node):
            found.append(f"{name}: arguments or result are other than in the last release; "
                         "give the function's new form another name in Rust, and add this one to src/api/released.rs")
    return found


def main():
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    number = lambda text: tuple(map(int, text.split(".")))
    releases = [path.stem.removeprefix("rag_pg--") for path in (ROOT / "sql/releases").glob("rag_pg--*.sql")]
    last = max((it for it in releases if number(it) < number(version)), key=number)
    old = statements((ROOT / f"sql/releases/rag_pg--{last}.sql").read_text())
    new = statements(pathlib.Path(sys.argv[1]).read_text())
    hand = ROOT / f"sql/upgrades/{last}--{version}.sql"
    by_hand = statements(hand.read_text()) if hand.exists() else []
    path = ROOT / f"sql/rag_pg--{last}--{version}.sql"
    lines = [f"-- Run by ALTER EXTENSION rag_pg UPDATE, from {last} to {version}. Written by scripts/upgrade.sh; what is written by hand is in sql/upgrades/."]
    lines += [f"{text};" for text in [SAFE_PATH] + [it.text for it in by_hand] + upgrade(old, new, by_hand)]
    text = ("\n".join(lines) + "\n").replace("extschema.", "@extschema@.")
    if "--check" not in sys.argv:
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}: {len(lines) - 2} statements")
        return 0
    kept = set(re.findall(r"\b\w+_wrapper\b", (ROOT / "src/api/released.rs").read_text()))
    found = broken_symbols(old, new, kept)
    # cargo-pgrx puts objects that do not need each other in another order each time.
    texts = lambda script: sorted(it.text for it in statements(script))
    if not path.exists() or texts(path.read_text()) != texts(text):
        found.append(f"{path.relative_to(ROOT)} is not what the scripts give; run: make upgrade-script, and read the difference")
    if set(re.findall(r'"version": "(\d[^"]*)"', (ROOT / "META.json").read_text().split('"meta-spec"')[0])) != {version}:
        found.append(f"META.json names another version than {version}")
    print("\n".join(found) if found else f"{path.relative_to(ROOT)} is what the scripts give")
    return 1 if found else 0


def self_test():
    """What each change of a script has to give."""
    function = "CREATE FUNCTION rag.f(a text, b int = 1) RETURNS TABLE (x int) STABLE LANGUAGE c AS 'MODULE_PATHNAME', 'f_wrapper'"
    view, comment = "CREATE VIEW rag.v AS SELECT 1 AS a, 2 AS b", "COMMENT ON VIEW rag.v IS 'x'"
    old = statements(";\n".join([function, view, comment]))
    def change(before, after):
        new = statements(";\n".join(text.replace(before, after) for text in (function, view, comment)))
        return upgrade(old, new, []), broken_symbols(old, new, set())
    assert change("", "") == ([], [])
    assert change("STABLE", "VOLATILE") == ([function.replace("CREATE", "CREATE OR REPLACE").replace("STABLE", "VOLATILE")], [])
    assert change("2 AS b", "2 AS b, 3 AS c")[0][0].startswith("CREATE OR REPLACE VIEW")
    assert change("1 AS a, ", "")[0] == ["DROP VIEW rag.v", view.replace("1 AS a, ", ""), comment]
    assert change("x int", "x int, y int")[0][0] == "DROP FUNCTION rag.f(text, integer)"
    other = function.replace("b int = 1", "b text[]").replace("f_wrapper", "g_wrapper")
    assert upgrade(statements(f"{function};{other}"), statements(f"{function.replace('b int', 'b bigint')};{other}"), [])[1:] == [function.replace("b int", "b bigint")]
    for before, after, is_broken in (("x int", "x int, y int", False), ("b int = 1", "b bigint = 1", False), ("b int = 1", "b int = 1, c int = 2", False),
                                     ("b int = 1", "b text = 'x'", True), ("a text, ", "", True), ("x int", "x text", True), ("f_wrapper", "g_wrapper", True)):
        assert bool(change(before, after)[1]) == is_broken, (before, after)


if __name__ == "__main__":
    self_test()
    sys.exit(main())
