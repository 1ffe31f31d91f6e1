"""A terminal's screen as SVG, as tmux tells it (capture-pane -e): for the README, from the real thing."""
import re
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 8.4, 18, 12  # of a character; around all
COLOURS = {"31": "#ff6b6b", "32": "#7bd88f", "33": "#ffd166"}
BLANK = "\u00a0"  # more than one of another kind would be shown as one
PAPER, INK, FAINT = "#1b1f24", "#d7dce2", "#8a939e"


def runs(line):
    """(column, text, style) of each run of one style; STYLE is a set of SGR numbers."""
    style, column = set(), 0
    for part in re.findall(r"\x1b\[[\d;]*m|[^\x1b]+", line):
        if not part.startswith("\x1b"):
            yield column, part, frozenset(style)
            column += len(part)
            continue
        for number in (part[2:-1] or "0").split(";"):
            if number in ("0", ""):
                style.clear()
            elif number == "39":
                style -= set(COLOURS)
            elif number == "22":
                style -= {"1", "2"}
            elif number == "27":
                style.discard("7")
            else:
                style.add(number)


def svg_of(screen, columns):
    lines = screen.rstrip("\n").split("\n")
    wide, high = columns * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" font-size="14" '
           'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace">',
           f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>']
    for row, line in enumerate(lines):
        for column, text, style in runs(line):
            x, y, long = MARGIN + column * WIDTH, MARGIN + row * HEIGHT, len(text) * WIDTH
            ink = next((COLOURS[one] for one in style if one in COLOURS), FAINT if "2" in style else INK)
            if "7" in style:
                out.append(f'<rect x="{x:g}" y="{y:g}" width="{long:g}" height="{HEIGHT}" fill="{ink}"/>')
                ink = PAPER
            if text.strip():
                bold = ' font-weight="bold"' if "1" in style else ""
                out.append(f'<text x="{x:g}" y="{y + 14:g}" textLength="{long:g}" fill="{ink}"{bold}>{escape(text).replace(" ", BLANK)}</text>')
    return "\n".join(out) + "\n</svg>\n"
