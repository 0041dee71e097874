"""What is shipped besides our own code: a list for machines and the licences for people.

    sbom.py DIRECTORY [NAME=VERSION=LICENSE=FILE...]

writes DIRECTORY/sbom.cdx.json (CycloneDX 1.5) and DIRECTORY/third-party-notices, with the text of every licence. Crates are those
that cargo links into the library and the programs, by Cargo.lock; the further arguments are files shipped beside them. Ends
with 1 where a crate's licence is none of those below, or its text is nowhere to be found.
"""
import hashlib
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "CC0-1.0",
           "0BSD", "Unlicense", "BSL-1.0", "PostgreSQL", "CDLA-Permissive-2.0", "MPL-2.0", "MIT-0"}


def is_allowed(expression):
    """Whether the licence, or one of those to choose from, is among those above."""
    expression = expression.replace("/", " OR ").strip()
    while expression.startswith("(") and expression.endswith(")") and ")" not in expression[:-1]:
        expression = expression[1:-1]
    def split(text, word):
        parts, depth, start = [], 0, 0
        for found in re.finditer(rf"\(|\)| {word} ", text):
            depth += {"(": 1, ")": -1}.get(found[0], 0)
            if depth == 0 and found[0].strip() == word:
                parts.append(text[start:found.start()])
                start = found.end()
        return parts + [text[start:]]
    for word, holds in (("OR", any), ("AND", all)):
        parts = split(expression, word)
        if len(parts) > 1:
            return holds(is_allowed(part) for part in parts)
    return expression in ALLOWED


def linked():
    """The crates that end in what is shipped, without those that only the build needs."""
    target = next(line.split()[1] for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if line.startswith("host:"))
    metadata = json.loads(subprocess.check_output(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target], cwd=ROOT, text=True))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, todo = set(), [i for i in metadata["workspace_members"]]
    while todo:
        package = todo.pop()
        if package in found:
            continue
        found.add(package)
        # A procedural macro runs in the compiler.
        todo += [dep["pkg"] for dep in nodes[package]["deps"]
                 if any(kind["kind"] is None for kind in dep["dep_kinds"])
                 and not any("proc-macro" in target["kind"] for target in packages[dep["pkg"]]["targets"])]
    return sorted((packages[i] for i in found if packages[i]["source"]), key=lambda it: (it["name"], it["version"]))


def licence_texts(package):
    directory = pathlib.Path(package["manifest_path"]).parent
    names = [path for path in sorted(directory.iterdir()) if re.match(r"(licen[sc]e|copying|notice|unlicense)", path.name, re.I) and path.is_file()]
    return [path.read_text(errors="replace").strip() for path in names]


def main():
    directory, beside = pathlib.Path(sys.argv[1]), [argument.split("=", 3) for argument in sys.argv[2:]]
    components, texts, problems, without = [], {}, [], []
    for package in linked():
        name = f"{package['name']} {package['version']}"
        if not is_allowed(package["license"] or ""):
            problems.append(f"{name}: licence {package['license']} is not among the allowed ones")
        found = licence_texts(package)
        for text in found:
            texts.setdefault(hashlib.sha256(" ".join(text.split()).encode()).hexdigest(), (text, []))[1].append(name)
        if not found:
            without.append(f"{name} ({package['license']}; {', '.join(package['authors']) or 'its authors'}; {package['repository'] or 'no address'})")
        components.append({"type": "library", "name": package["name"], "version": package["version"],
                           "purl": f"pkg:cargo/{package['name']}@{package['version']}", "licenses": [{"expression": (package["license"] or "").replace("/", " OR ")}]})
    for name, version, licence, path in beside:
        components.append({"type": "machine-learning-model" if "MiniLM" in name else "library", "name": name, "version": version,
                           "licenses": [{"license": {"name": licence}}]})
        if path:
            text = pathlib.Path(path).read_text(errors="replace").strip()
            texts.setdefault(hashlib.sha256(text.encode()).hexdigest(), (text, []))[1].append(f"{name} {version}")
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    sbom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": {"type": "application", "name": "rag_pg", "version": version, "licenses": [{"license": {"id": "PostgreSQL"}}]}},
            "components": components}
    (directory / "sbom.cdx.json").write_text(json.dumps(sbom, indent=1) + "\n")
    with open(directory / "third-party-notices", "w") as out:
        out.write("rag_pg is built of and ships the works below, each under the licence that follows it.\n")
        if without:
            out.write("\nThese name their licence and come without its text, which stands below for others:\n" + "".join(f"  {line}\n" for line in without))
        for text, names in sorted(texts.values(), key=lambda it: it[1]):
            out.write(f"\n{'=' * 100}\n{', '.join(names)}\n{'=' * 100}\n{text}\n")
    print("\n".join(problems) if problems else f"{len(components)} works, {len(texts)} texts of licences, {len(without)} crates without one of their own")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
