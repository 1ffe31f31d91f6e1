/* What keys do in `fusegate top`. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/wait.h"
#include "cli/top_state.h"

static struct fg_top_place *place_of(struct fg_top *top)
{
    return &top->places[top->view];
}

/* ---- moving ---- */

static void choose(struct fg_top *top, size_t at)
{
    struct fg_top_place *place = place_of(top);

    if (top->table.len == 0)
        return;
    place->at = FG_MIN(at, top->table.len - 1);
    free(place->chosen);
    place->chosen = fg_strdup(top->table.rows[place->at].id);
}

static bool move(struct fg_top *top, uint32_t key)
{
    size_t at = place_of(top)->at, page = FG_MAX(top->height, 1);

    switch (key) {
    case FG_KEY_UP:
        choose(top, at > 0 ? at - 1 : 0);
        return true;
    case FG_KEY_DOWN:
        choose(top, at + 1);
        return true;
    case FG_KEY_PAGE_UP:
        choose(top, at > page ? at - page : 0);
        return true;
    case FG_KEY_PAGE_DOWN:
        choose(top, at + page);
        return true;
    case FG_KEY_HOME:
        choose(top, 0);
        return true;
    case FG_KEY_END:
        choose(top, SIZE_MAX - 1);
        return true;
    default:
        return false;
    }
}

static bool scroll_detail(struct fg_top *top, uint32_t key)
{
    size_t page = FG_MAX(top->height, 1);

    if (key == FG_KEY_DOWN || key == FG_KEY_PAGE_DOWN)
        top->detail_first += key == FG_KEY_DOWN ? 1 : page;
    else if (key == FG_KEY_UP || key == FG_KEY_PAGE_UP)
        top->detail_first -= FG_MIN(top->detail_first, key == FG_KEY_UP ? 1 : page);
    else
        return false;
    return true;
}

/* ---- choosing what is shown ---- */

static enum fg_top_effect show(struct fg_top *top, enum fg_top_view_id view)
{
    if (view == top->view)
        return FG_TOP_NOTHING;
    top->view = view;
    top->has_list = false;
    return FG_TOP_ASK_ANEW;
}

/* Another part of the streams is wanted. */
static enum fg_top_effect ask_anew(struct fg_top *top)
{
    return top->view == FG_TOP_STREAMS ? FG_TOP_ASK_ANEW : FG_TOP_NOTHING;
}

static enum fg_top_effect next_order(struct fg_top *top)
{
    const struct fg_top_view *view = &fg_top_views[top->view];
    struct fg_top_place *place = place_of(top);

    place->order = view->orders[place->order + 1] ? place->order + 1 : 0;
    snprintf(top->message, sizeof top->message, "sorted by %s", view->orders[place->order]);
    return ask_anew(top);
}

/* Any cause, then each of them; "none" is no wait. */
static enum fg_top_effect next_wait(struct fg_top *top)
{
    if (top->view != FG_TOP_STREAMS) {
        snprintf(top->message, sizeof top->message, "w is for streams: press 2 first");
        return FG_TOP_NOTHING;
    }
    top->wait = top->wait < 0 ? FG_WAIT_NONE + 1 : top->wait + 1;
    if (top->wait == FG_WAIT_LEN)
        top->wait = -1;
    return FG_TOP_ASK_ANEW;
}

/* ---- modes ---- */

static void drop_character(char *text)
{
    size_t len = strlen(text);

    while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
        len--;
    text[len > 0 ? len - 1 : 0] = '\0';
}

static enum fg_top_effect type(struct fg_top *top, uint32_t key)
{
    size_t len = strlen(top->typed);

    if (key == FG_KEY_ENTER) {
        memcpy(top->filter, top->typed, sizeof top->filter);
        top->mode = FG_TOP_LIST;
        return ask_anew(top);
    }
    if (key == FG_KEY_ESCAPE)
        top->mode = FG_TOP_LIST;
    else if (key == FG_KEY_BACKSPACE)
        drop_character(top->typed);
    else if (key >= 0x20 && key < 0x7f && len + 1 < sizeof top->typed) /* methods are ASCII */
        top->typed[len] = (char)key, top->typed[len + 1] = '\0';
    return FG_TOP_NOTHING;
}

static void ask_to_kill(struct fg_top *top)
{
    const struct fg_top_row *row = fg_top_chosen(top);

    if (top->view != FG_TOP_STREAMS)
        snprintf(top->message, sizeof top->message, "k ends a call: press 2 for streams first");
    else if (!top->ask->token)
        snprintf(top->message, sizeof top->message,
                 "ending calls needs admin.token of the gateway: --token or FUSEGATE_TOKEN");
    else if (!row)
        snprintf(top->message, sizeof top->message, "there is no call to be ended");
    else {
        snprintf(top->kill_id, sizeof top->kill_id, "%s", row->id);
        top->mode = FG_TOP_ASKING;
    }
}

static enum fg_top_effect answer_kill(struct fg_top *top, uint32_t key)
{
    top->mode = FG_TOP_LIST;
    if (key == 'y' || key == 'Y') {
        snprintf(top->message, sizeof top->message, "ending call %s ...", top->kill_id);
        return FG_TOP_KILL;
    }
    snprintf(top->message, sizeof top->message, "call %s goes on", top->kill_id);
    return FG_TOP_NOTHING;
}

static enum fg_top_effect escape(struct fg_top *top)
{
    bool filtered = top->filter[0] || top->wait >= 0;

    if (top->mode != FG_TOP_LIST) {
        top->mode = FG_TOP_LIST;
        return FG_TOP_NOTHING;
    }
    top->filter[0] = '\0';
    top->wait = -1;
    return filtered ? ask_anew(top) : FG_TOP_NOTHING;
}

static enum fg_top_effect command(struct fg_top *top, uint32_t key)
{
    switch (key) {
    case 'q':
        top->quit = true;
        return FG_TOP_NOTHING;
    case '?':
    case 'h':
        top->mode = top->mode == FG_TOP_HELP ? FG_TOP_LIST : FG_TOP_HELP;
        return FG_TOP_NOTHING;
    case ' ':
        top->paused = !top->paused;
        return FG_TOP_PAUSE;
    case 's':
        return next_order(top);
    case 'w':
        return next_wait(top);
    case '/':
        top->mode = FG_TOP_TYPING;
        memcpy(top->typed, top->filter, sizeof top->typed);
        return FG_TOP_NOTHING;
    case 'k':
        ask_to_kill(top);
        return FG_TOP_NOTHING;
    case FG_KEY_ENTER:
        top->mode = top->mode == FG_TOP_LIST && fg_top_chosen(top) ? FG_TOP_DETAIL : FG_TOP_LIST;
        top->detail_first = 0;
        choose(top, place_of(top)->at); /* it stays the one that is shown */
        return FG_TOP_NOTHING;
    case FG_KEY_ESCAPE:
        return escape(top);
    default:
        return FG_TOP_NOTHING;
    }
}

enum fg_top_effect fg_top_press(struct fg_top *top, uint32_t key)
{
    top->message[0] = '\0';
    if (top->mode == FG_TOP_TYPING)
        return type(top, key);
    if (top->mode == FG_TOP_ASKING)
        return answer_kill(top, key);
    if (key >= '1' && key < '1' + FG_TOP_VIEWS) {
        top->mode = FG_TOP_LIST;
        return show(top, (enum fg_top_view_id)(key - '1'));
    }
    if (top->mode == FG_TOP_DETAIL ? scroll_detail(top, key) : move(top, key))
        return FG_TOP_NOTHING;
    return command(top, key);
}
