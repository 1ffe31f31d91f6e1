"""embed_files.py OUT FILE...: C source with the table of src/admin/dashboard.h: each FILE compressed, under its base name;
index.html is the page itself, whose name is empty. The same files give the same bytes."""
import gzip
import hashlib
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".txt": "text/plain; charset=utf-8", ".svg": "image/svg+xml"}


def main():
    arrays, rows = [], []
    for i, path in enumerate(map(pathlib.Path, sys.argv[2:])):
        content = path.read_bytes()
        packed = gzip.compress(content, 9, mtime=0)
        name = "" if path.name == "index.html" else path.name
        arrays.append(f"static const uint8_t file_{i}[] = {{{','.join(map(str, packed))}}};")
        rows.append(f'    {{"{name}", "{TYPES[path.suffix]}", "{hashlib.sha256(content).hexdigest()[:32]}", file_{i}, '
                    f"sizeof file_{i}, {len(content)}}},")
    pathlib.Path(sys.argv[1]).write_text("\n".join(
        ['#include "admin/dashboard.h"', *arrays, "const struct fg_dashboard_file fg_dashboard_files[] = {", *rows,
         "    {NULL, NULL, NULL, NULL, 0, 0},", "};", ""]))


main()
