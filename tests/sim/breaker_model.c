#include "breaker_model.h"

#include "base/time.h"

#define SEVERITY_MAX FG_BREAKER_SEVERITY_MAX

static uint32_t factor_of(struct fg_breaker_rank rank)
{
    return rank.factor ? rank.factor : 1000;
}

uint32_t model_permits_out(const struct model *m)
{
    uint32_t out = m->forgotten;
    for (size_t i = 0; i < m->calls_len; i++)
        out += m->calls[i].permit && !m->calls[i].written_off && m->calls[i].period == m->period;
    return out;
}

static bool in_window(const struct model *m, uint64_t at_ns)
{
    uint64_t slice_ns = m->config.window_ns / 10;
    return at_ns / slice_ns + 10 > m->now_ns / slice_ns;
}

struct model_sums model_window(const struct model *m)
{
    struct model_sums sums = {0};

    for (size_t i = 0; i < m->events_len; i++) {
        const struct model_event *event = &m->events[i];
        if (!in_window(m, event->at_ns))
            continue;
        sums.units += event->units;
        sums.failures += event->failed ? event->units : 0;
        sums.slow_units += event->looked_for_slow ? event->units : 0;
        sums.slow += event->looked_for_slow && event->slow ? event->units : 0;
    }
    for (size_t i = 0; i < m->loads_len; i++) {
        if (!in_window(m, m->loads[i].at_ns))
            continue;
        sums.answers += m->loads[i].what != MODEL_SHED;
        sums.overloads += m->loads[i].what == MODEL_OVERLOAD;
        sums.shed += m->loads[i].what == MODEL_SHED;
    }
    return sums;
}

uint32_t model_failures_in_a_row(const struct model *m)
{
    size_t at = m->events_len;
    while (at > 0 && m->events[at - 1].failed)
        at--;
    return (uint32_t)(m->events_len - at);
}

/* ---- changes ---- */

uint32_t model_retrips(const struct model *m)
{
    if (m->state != FG_BREAKER_CLOSED)
        return m->retrips;
    uint64_t healthy = (m->now_ns - m->since_ns) / m->config.window_ns;
    return healthy >= m->retrips ? 0 : m->retrips - (uint32_t)healthy;
}

uint64_t model_pause_ns(const struct model *m, uint32_t retrips)
{
    uint64_t pause_ns = retrips * m->config.open_for_ns;
    uint64_t most_ns =
        m->config.max_open_for_ns > m->config.open_for_ns ? m->config.max_open_for_ns : m->config.open_for_ns;
    return pause_ns > most_ns ? most_ns : pause_ns;
}

static void enter(struct model *m, enum fg_breaker_state state)
{
    m->changes[m->changes_len++] = (struct model_change){m->state, state, m->now_ns};
    m->state = state;
    m->since_ns = m->now_ns;
    m->period++;
    m->events_len = m->loads_len = m->bad_len = 0;
    m->ok = 0;
    m->forgotten = 0;
}

static void keep(struct model *m, const char *cause, double observed, double threshold)
{
    m->cause = cause;
    m->observed = observed;
    m->threshold = threshold;
    m->kept_len = FG_MIN(m->bad_len, FG_BREAKER_OUTCOMES);
    for (size_t i = 0; i < m->kept_len; i++)
        m->kept[i] = m->bad[m->bad_len - m->kept_len + i];
}

static void model_trip(struct model *m, uint32_t severity, uint32_t factor)
{
    uint32_t retrips = model_retrips(m) + 1;

    /* One more than reaches the greatest pause is none. */
    while (retrips > 1 && (retrips - 1) * m->config.open_for_ns >= m->config.max_open_for_ns)
        retrips--;
    m->retrips = retrips;
    m->severity = severity;
    m->factor = factor;
    m->trips++;
    enter(m, FG_BREAKER_OPEN);
}

/* ---- asking ---- */

enum fg_breaker_verdict model_verdict(const struct model *m, struct fg_breaker_rank rank, bool *overdue)
{
    uint32_t out = model_permits_out(m);

    *overdue = false;
    if (!m->config.enabled || m->state == FG_BREAKER_CLOSED || factor_of(rank) > m->severity)
        return FG_BREAKER_PASS;
    if (m->state == FG_BREAKER_OPEN)
        return m->now_ns >= m->since_ns + model_pause_ns(m, m->retrips) ? FG_BREAKER_PERMIT : FG_BREAKER_REFUSE;
    if (out <= m->ok && out + m->ok < m->config.half_open_calls)
        return FG_BREAKER_PERMIT;
    *overdue = m->now_ns >= m->probe_ns + m->config.open_for_ns;
    return *overdue ? FG_BREAKER_PERMIT : FG_BREAKER_REFUSE;
}

static bool overload_is_recent(const struct model *m)
{
    return m->overload_ns > 0 && m->now_ns - m->overload_ns < m->config.window_ns;
}

static bool looks_for_overload(const struct model *m)
{
    return m->overload_percent > 0 && m->overload_percent < 100;
}

uint32_t model_shed_share(const struct model *m)
{
    struct model_sums sums = model_window(m);
    int64_t accepted = sums.answers - sums.overloads, wanted = sums.answers + sums.shed;
    int64_t rest = 100 - (int64_t)m->overload_percent;

    if (!looks_for_overload(m) || !overload_is_recent(m) || sums.answers == 0 ||
        sums.answers < m->config.minimum_calls || sums.overloads * 100 <= m->overload_percent * sums.answers)
        return 0;
    int64_t over = wanted * rest - 100 * accepted;
    return over <= 0 ? 0 : (uint32_t)(65536 * over / (rest * (wanted + 1)));
}

static bool model_sheds(struct model *m, uint32_t factor)
{
    uint32_t share = model_shed_share(m);

    m->debt += share;
    if (share == 0 || m->debt < 65536ull * (factor - 400) / 100)
        return false;
    m->debt -= 65536;
    m->shed++;
    m->loads[m->loads_len++] = (struct model_load_event){m->now_ns, MODEL_SHED};
    return true;
}

enum fg_breaker_verdict model_ask(struct model *m, struct fg_breaker_rank rank)
{
    bool overdue;
    enum fg_breaker_verdict verdict = model_verdict(m, rank, &overdue);

    m->refused += verdict == FG_BREAKER_REFUSE;
    if (verdict == FG_BREAKER_PASS && m->config.enabled && model_sheds(m, factor_of(rank)))
        return FG_BREAKER_SHED;
    if (verdict != FG_BREAKER_PERMIT)
        return verdict;
    if (m->state == FG_BREAKER_OPEN)
        enter(m, FG_BREAKER_HALF_OPEN);
    if (overdue) {
        m->forgotten = 0;
        for (size_t i = 0; i < m->calls_len; i++)
            m->calls[i].written_off = true;
    }
    m->probe_ns = m->now_ns;
    return verdict;
}

/* ---- reporting ---- */

static uint32_t severity_of(uint64_t hits, uint64_t calls, uint64_t percent)
{
    if (hits == calls || percent == 0)
        return SEVERITY_MAX;
    return (uint32_t)FG_MIN(hits * 100000 / (calls * percent), SEVERITY_MAX);
}

static void judge(struct model *m, uint32_t factor, bool failed)
{
    struct model_sums sums = model_window(m);
    uint32_t row = model_failures_in_a_row(m), base = m->config.consecutive_failures, worst = 0, found;
    const char *cause = "";
    double observed = 0, threshold = 0;

    if (failed && base) {
        worst = FG_MIN(row * 1000 / base, SEVERITY_MAX);
        cause = "consecutive_failures";
        observed = row;
        threshold = (base * factor + 999) / 1000;
    }
    found = severity_of(sums.failures, sums.units, m->failure_percent);
    if (sums.failures && sums.units >= 4 * m->config.minimum_calls && found > worst) {
        worst = found;
        cause = "failure_ratio";
        observed = (double)sums.failures / sums.units;
        threshold = FG_MIN(m->failure_percent * factor / 1e5, 1);
    }
    found = severity_of(sums.slow, sums.slow_units, m->slow_percent);
    if (m->config.slow_call_ns && sums.slow && sums.slow_units >= 4 * m->config.minimum_calls && found > worst) {
        worst = found;
        cause = "slow_ratio";
        observed = (double)sums.slow / sums.slow_units;
        threshold = FG_MIN(m->slow_percent * factor / 1e5, 1);
    }
    if (worst < factor || *cause == 0 || (m->state != FG_BREAKER_CLOSED && worst <= m->severity))
        return;
    keep(m, cause, observed, threshold);
    if (m->state == FG_BREAKER_CLOSED) {
        model_trip(m, worst, factor);
        return;
    }
    m->severity = worst;
    m->factor = factor;
    m->raises++;
    m->changes[m->changes_len++] = (struct model_change){m->state, m->state, m->now_ns};
}

static void report_probe(struct model *m, const struct fg_breaker_result *result)
{
    if (result->class == FG_CLASS_FAILURE || (result->class == FG_CLASS_SUCCESS && result->slow)) {
        keep(m, "probe_failed", m->ok, m->config.half_open_calls);
        model_trip(m, m->severity, m->factor);
    } else if (result->class == FG_CLASS_SUCCESS) {
        m->ok++;
        if (m->ok >= m->config.half_open_calls)
            enter(m, FG_BREAKER_CLOSED);
    }
}

static void report_load(struct model *m, bool overload)
{
    if (overload && looks_for_overload(m))
        m->overload_ns = m->now_ns;
    if (looks_for_overload(m) && overload_is_recent(m))
        m->loads[m->loads_len++] = (struct model_load_event){m->now_ns, overload ? MODEL_OVERLOAD : MODEL_ACCEPTED};
}

void model_report(struct model *m, const struct model_call *call, const struct fg_breaker_result *result)
{
    if (!m->config.enabled) {
        m->forgotten += call->permit && !call->written_off && call->period == m->period;
        return;
    }
    if (call->period != m->period && !(m->state == FG_BREAKER_CLOSED && call->period == 0))
        return;
    if (result->class == FG_CLASS_IGNORED)
        return;
    if (result->class != FG_CLASS_SUCCESS || result->slow)
        m->bad[m->bad_len++] = (struct model_outcome){m->now_ns, *result};
    report_load(m, result->class == FG_CLASS_OVERLOAD);
    if (call->permit) {
        report_probe(m, result);
    } else if (result->class != FG_CLASS_OVERLOAD) {
        bool failed = result->class == FG_CLASS_FAILURE;
        m->events[m->events_len++] = (struct model_event){.at_ns = m->now_ns,
                                                          .units = call->rank.units ? call->rank.units : 4,
                                                          .failed = failed,
                                                          .looked_for_slow = m->config.slow_call_ns > 0,
                                                          .slow = result->slow};
        judge(m, factor_of(call->rank), failed);
    }
}

uint64_t model_retry_in(const struct model *m)
{
    bool overdue;
    static const struct fg_breaker_rank lowest = {.factor = 1, .units = 4};

    if (model_verdict(m, lowest, &overdue) != FG_BREAKER_REFUSE)
        return 0;
    if (m->state == FG_BREAKER_OPEN)
        return m->since_ns + model_pause_ns(m, m->retrips) - m->now_ns;
    return m->probe_ns + m->config.open_for_ns - m->now_ns;
}
