/* Asking and reporting. */
#include "policy/breaker_int.h"

void fg_breaker_init(struct fg_breaker *breaker)
{
    atomic_init(&breaker->word, fg_breaker_pack((struct fg_breaker_word){.state = FG_BREAKER_CLOSED, .period = 1}));
}

/* ---- reporting ---- */

static uint64_t waited_before_sending_ns(const struct fg_outcome *outcome)
{
    return outcome->stall_ns[FG_WAIT_STREAM_SLOT] + outcome->stall_ns[FG_WAIT_CONNECT] +
           outcome->stall_ns[FG_WAIT_TLS] + outcome->stall_ns[FG_WAIT_SETTINGS] + outcome->stall_ns[FG_WAIT_GATE];
}

bool fg_breaker_is_slow(const struct fg_config_breaker *config, const struct fg_outcome *outcome)
{
    uint64_t sent_ns = outcome->start_ns + waited_before_sending_ns(outcome), end_ns = outcome->end_ns;
    uint64_t first_ns = outcome->first_message_ns ? outcome->first_message_ns : end_ns;

    if (outcome->phase < FG_PHASE_SENT)
        return false;
    if (config->slow_call_ns > 0 && outcome->messages_down <= 1 && end_ns > sent_ns &&
        end_ns - sent_ns > config->slow_call_ns)
        return true;
    return config->slow_first_message_ns > 0 && first_ns > sent_ns &&
           first_ns - sent_ns > config->slow_first_message_ns;
}

struct fg_breaker_result fg_breaker_result_of(const struct fg_config_breaker *config, const struct fg_outcome *outcome)
{
    uint64_t duration_ns = outcome->end_ns > outcome->start_ns ? outcome->end_ns - outcome->start_ns : 0;

    return (struct fg_breaker_result){.class = outcome->class,
                                      .slow = fg_breaker_is_slow(config, outcome),
                                      .code = outcome->code,
                                      .source = outcome->source,
                                      .duration_ms = (uint32_t)FG_MIN(duration_ns / 1000000, UINT32_MAX)};
}

/* A success or failure that is no probe's, of RAW's period. */
static void report_call(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                        struct fg_breaker_ticket ticket, const struct fg_breaker_result *result, uint64_t now_ns)
{
    uint64_t epoch = fg_breaker_epoch(config, now_ns);
    uint32_t consecutive = 0, units = ticket.units ? ticket.units : FG_BREAKER_UNITS_ONE;
    bool failed = result->class == FG_CLASS_FAILURE, looks_for_slow = fg_breaker_looks_for_slow(config);

    fg_breaker_window_add(breaker, &breaker->failures, raw, epoch, units, failed);
    if (looks_for_slow) {
        fg_breaker_window_add(breaker, &breaker->slow, raw, epoch, units, result->slow);
        if (result->slow)
            fg_breaker_advance(&breaker->slow_ns, now_ns);
    }
    if (failed) {
        fg_breaker_advance(&breaker->failed_ns, now_ns);
        consecutive = fg_breaker_count_up(breaker, &breaker->consecutive, raw);
    } else {
        fg_breaker_count_clear(&breaker->consecutive, raw);
    }
    if (breaker->observes)
        return;
    if (failed || fg_breaker_in_window(&breaker->failed_ns, config, now_ns) ||
        (looks_for_slow && fg_breaker_in_window(&breaker->slow_ns, config, now_ns)))
        fg_breaker_judge(breaker, config, raw, ticket, consecutive, epoch, now_ns);
}

/* What came of a probe. RAW is the half-open state; its period is that of the ticket. */
static void report_probe(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                         struct fg_breaker_ticket ticket, const struct fg_breaker_result *result, uint64_t now_ns)
{
    bool success = result->class == FG_CLASS_SUCCESS;
    bool failed = result->class == FG_CLASS_FAILURE || (success && result->slow);

    for (;;) {
        struct fg_breaker_word w = fg_breaker_unpack(raw);
        if (w.state != FG_BREAKER_HALF_OPEN || w.period != fg_breaker_period_of_ticket(ticket.value))
            return;
        if (failed) {
            if (fg_breaker_probe_failed(breaker, config, raw, now_ns))
                return;
            raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
            continue;
        }
        if (ticket.value == fg_breaker_ticket_of(raw) && w.out > 0)
            w.out--; /* else it was written off and is no longer among those out */
        if (success && w.ok < FG_BREAKER_COUNT_MASK)
            w.ok++;
        bool closes = success && w.ok >= fg_breaker_probes_needed(config);
        uint64_t next = closes ? fg_breaker_next_period(raw, FG_BREAKER_CLOSED, 0) : fg_breaker_pack(w);
        if (closes)
            fg_breaker_advance(&breaker->since_ns, now_ns);
        if (!atomic_compare_exchange_strong_explicit(&breaker->word, &raw, next, memory_order_acq_rel,
                                                     memory_order_acquire))
            continue;
        if (closes)
            fg_breaker_events_add(breaker, FG_BREAKER_HALF_OPEN, FG_BREAKER_CLOSED, now_ns);
        return;
    }
}

void fg_breaker_report(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                       struct fg_breaker_ticket ticket, const struct fg_breaker_result *result, uint64_t now_ns)
{
    if (!config->enabled || breaker->inert)
        return;
    uint64_t raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
    bool closed = fg_breaker_state_of(raw) == FG_BREAKER_CLOSED;
    if (fg_breaker_period_of_ticket(ticket.value) != fg_breaker_period_of(raw) && !(closed && ticket.value == 0))
        return;
    if (result->class != FG_CLASS_IGNORED) {
        if (result->class != FG_CLASS_SUCCESS || result->slow)
            fg_breaker_keep_outcome(breaker, raw, result, now_ns);
        fg_breaker_count_overload(breaker, config, raw, result->class, now_ns);
    }
    if (ticket.permit)
        report_probe(breaker, config, raw, ticket, result, now_ns);
    else if (result->class == FG_CLASS_SUCCESS || result->class == FG_CLASS_FAILURE)
        report_call(breaker, config, raw, ticket, result, now_ns);
}

void fg_breaker_give_back(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                          struct fg_breaker_ticket ticket, uint64_t now_ns)
{
    static const struct fg_breaker_result not_made = {.class = FG_CLASS_IGNORED};

    if (ticket.permit)
        fg_breaker_report(breaker, config, ticket, &not_made, now_ns);
}

/* ---- asking ---- */

bool fg_breaker_next_permit(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                            uint64_t now_ns, uint64_t *next)
{
    struct fg_breaker_word w = fg_breaker_unpack(raw);

    if (w.state == FG_BREAKER_OPEN) {
        uint64_t pause_ns = fg_breaker_pause_ns(config, fg_breaker_episode_of(breaker, raw).trips);
        *next = fg_breaker_next_period(raw, FG_BREAKER_HALF_OPEN, 1);
        return fg_breaker_elapsed(&breaker->since_ns, now_ns) >= pause_ns;
    }
    if (w.out <= w.ok && w.out + w.ok < fg_breaker_probes_needed(config)) {
        w.out++;
    } else if (fg_breaker_elapsed(&breaker->probe_ns, now_ns) >= FG_MAX(config->open_for_ns, 1)) {
        w.round = (w.round + 1) & FG_BREAKER_ROUND_MASK;
        w.out = 1;
    } else {
        return false;
    }
    *next = fg_breaker_pack(w);
    return true;
}

/* Calls of FACTOR need no permit. */
static bool lets_pass(const struct fg_breaker *breaker, uint64_t raw, uint32_t factor)
{
    return fg_breaker_state_of(raw) == FG_BREAKER_CLOSED || factor > fg_breaker_episode_of(breaker, raw).severity;
}

static enum fg_breaker_verdict pass(struct fg_breaker *breaker, const struct fg_config_breaker *config, uint64_t raw,
                                    uint64_t now_ns, struct fg_breaker_ticket *ticket)
{
    /* The healthy case costs this one look. */
    if (fg_breaker_in_window(&breaker->overload_ns, config, now_ns) && !breaker->observes &&
        fg_breaker_sheds(breaker, config, raw, ticket->factor, now_ns))
        return FG_BREAKER_SHED;
    ticket->value = fg_breaker_ticket_of(raw);
    return FG_BREAKER_PASS;
}

/* RAW is not closed. */
static enum fg_breaker_verdict ask_permit(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                                          uint64_t raw, uint64_t now_ns, struct fg_breaker_ticket *ticket)
{
    uint64_t next;

    do {
        if (lets_pass(breaker, raw, ticket->factor))
            return pass(breaker, config, raw, now_ns, ticket);
        if (!fg_breaker_next_permit(breaker, config, raw, now_ns, &next)) {
            atomic_fetch_add_explicit(&breaker->refused, 1, memory_order_relaxed);
            return FG_BREAKER_REFUSE;
        }
        fg_breaker_advance(&breaker->probe_ns, now_ns);
        if (fg_breaker_state_of(raw) == FG_BREAKER_OPEN)
            fg_breaker_advance(&breaker->since_ns, now_ns);
    } while (!atomic_compare_exchange_strong_explicit(&breaker->word, &raw, next, memory_order_acq_rel,
                                                      memory_order_acquire));
    if (fg_breaker_state_of(raw) == FG_BREAKER_OPEN)
        fg_breaker_events_add(breaker, FG_BREAKER_OPEN, FG_BREAKER_HALF_OPEN, now_ns);
    ticket->value = fg_breaker_ticket_of(next);
    ticket->permit = true;
    return FG_BREAKER_PERMIT;
}

enum fg_breaker_verdict fg_breaker_ask(struct fg_breaker *breaker, const struct fg_config_breaker *config,
                                       struct fg_breaker_rank rank, uint64_t now_ns, struct fg_breaker_ticket *ticket)
{
    *ticket = (struct fg_breaker_ticket){.factor = rank.factor ? rank.factor : FG_BREAKER_FACTOR_ONE,
                                         .units = rank.units ? rank.units : FG_BREAKER_UNITS_ONE};
    if (!config->enabled || breaker->inert)
        return FG_BREAKER_PASS;
    uint64_t raw = atomic_load_explicit(&breaker->word, memory_order_acquire);
    if (fg_breaker_state_of(raw) != FG_BREAKER_CLOSED)
        return ask_permit(breaker, config, raw, now_ns, ticket);
    return pass(breaker, config, raw, now_ns, ticket);
}

bool fg_breaker_admits(struct fg_breaker *breaker, const struct fg_config_breaker *config, struct fg_breaker_rank rank,
                       uint64_t now_ns)
{
    uint64_t next, raw = atomic_load_explicit(&breaker->word, memory_order_acquire);

    return !config->enabled || lets_pass(breaker, raw, rank.factor ? rank.factor : FG_BREAKER_FACTOR_ONE) ||
           fg_breaker_next_permit(breaker, config, raw, now_ns, &next);
}
