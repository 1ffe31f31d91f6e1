"""embed.py FILE NAME: the bytes of FILE as a C array NAME with its length NAME_len, on standard output."""
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
name = sys.argv[2]
print("#include <stddef.h>\n#include <stdint.h>")
print(f"extern const uint8_t {name}[];\nextern const size_t {name}_len;")
print(f"const uint8_t {name}[] = {{{', '.join(map(str, data))}}};\nconst size_t {name}_len = {len(data)};")
