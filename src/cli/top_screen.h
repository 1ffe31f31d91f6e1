/* The terminal of `fusegate top`, by ncurses. There is one. */
#ifndef FG_CLI_TOP_SCREEN_H
#define FG_CLI_TOP_SCREEN_H

#include "cli/top_picture.h"

struct fg_top_screen;

/* Takes the terminal. NULL: it cannot be used, and that has been said. */
struct fg_top_screen *fg_top_screen_open(bool colour);
void fg_top_screen_close(struct fg_top_screen *screen); /* gives it back as it was; NULL is allowed */

/* Its size now. */
void fg_top_screen_size(struct fg_top_screen *screen, unsigned *rows, unsigned *cols);
void fg_top_screen_show(struct fg_top_screen *screen, const struct fg_picture *picture);

/* A key that was pressed, as top_state.h has them. False: none. */
bool fg_top_screen_key(struct fg_top_screen *screen, uint32_t *key);

#endif
