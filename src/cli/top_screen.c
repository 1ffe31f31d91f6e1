#define NCURSES_WIDECHAR 1
#include "cli/top_screen.h"

#include <curses.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/top_state.h"

#define ESCAPE_MS 25 /* how long what follows an Esc may take to be a part of the same key */

struct fg_top_screen {
    SCREEN *terminal;
    bool colour;
};

struct fg_top_screen *fg_top_screen_open(bool colour)
{
    const char *name = getenv("TERM");
    SCREEN *terminal = newterm(NULL, stdout, stdin);

    if (!terminal) {
        fprintf(stderr, "fusegate top: cannot use a terminal of the kind %s (TERM); --once needs none\n",
                name && name[0] ? name : "\"\"");
        return NULL;
    }
    struct fg_top_screen *screen = fg_alloc(sizeof *screen);
    *screen = (struct fg_top_screen){.terminal = terminal, .colour = colour && has_colors()};
    cbreak();
    noecho();
    nonl();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
    curs_set(0);
    if (screen->colour) {
        start_color();
        use_default_colors();
        init_pair(FG_STYLE_GOOD, COLOR_GREEN, -1);
        init_pair(FG_STYLE_WARN, COLOR_YELLOW, -1);
        init_pair(FG_STYLE_BAD, COLOR_RED, -1);
    }
    return screen;
}

void fg_top_screen_close(struct fg_top_screen *screen)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen->terminal);
    free(screen);
}

void fg_top_screen_size(struct fg_top_screen *screen, unsigned *rows, unsigned *cols)
{
    struct winsize size;
    (void)screen;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        (size.ws_row != LINES || size.ws_col != COLS))
        resizeterm(size.ws_row, size.ws_col);
    *rows = (unsigned)LINES;
    *cols = (unsigned)COLS;
}

static attr_t attributes_of(const struct fg_top_screen *screen, enum fg_style style)
{
    static const attr_t attributes[FG_STYLE_LEN] = {
        [FG_STYLE_STRONG] = A_BOLD, [FG_STYLE_DIM] = A_DIM,  [FG_STYLE_GOOD] = A_NORMAL,
        [FG_STYLE_WARN] = A_BOLD,   [FG_STYLE_BAD] = A_BOLD, [FG_STYLE_CHOSEN] = A_REVERSE,
    };
    bool coloured = style == FG_STYLE_GOOD || style == FG_STYLE_WARN || style == FG_STYLE_BAD;

    return attributes[style] | (screen->colour && coloured ? COLOR_PAIR(style) : 0);
}

void fg_top_screen_show(struct fg_top_screen *screen, const struct fg_picture *picture)
{
    erase();
    for (unsigned row = 0; row < picture->rows; row++) {
        for (unsigned col = 0; col < picture->cols; col++) {
            const struct fg_picture_cell *cell = &picture->cells[(size_t)row * picture->cols + col];
            if (cell->text[0] == '\0')
                continue;
            (void)attrset(attributes_of(screen, (enum fg_style)cell->style));
            (void)mvaddstr((int)row, (int)col, cell->text); /* the last cell "fails": the cursor has nowhere to go */
        }
    }
    refresh();
}

bool fg_top_screen_key(struct fg_top_screen *screen, uint32_t *key)
{
    static const struct {
        int from;
        uint32_t to;
    } keys[] = {
        {KEY_UP, FG_KEY_UP},
        {KEY_DOWN, FG_KEY_DOWN},
        {KEY_PPAGE, FG_KEY_PAGE_UP},
        {KEY_NPAGE, FG_KEY_PAGE_DOWN},
        {KEY_HOME, FG_KEY_HOME},
        {KEY_END, FG_KEY_END},
        {KEY_ENTER, FG_KEY_ENTER},
        {'\r', FG_KEY_ENTER},
        {'\n', FG_KEY_ENTER},
        {27, FG_KEY_ESCAPE},
        {127, FG_KEY_BACKSPACE},
        {8, FG_KEY_BACKSPACE},
        {KEY_BACKSPACE, FG_KEY_BACKSPACE},
    };
    int pressed = getch();
    (void)screen;

    if (pressed == ERR)
        return false;
    *key = pressed < 256 ? (uint32_t)pressed : 0;
    for (size_t i = 0; i < FG_ARRAY_LEN(keys); i++)
        if (keys[i].from == pressed)
            *key = keys[i].to;
    return true;
}
