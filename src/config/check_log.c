/* The access log's format: an unknown name would be found when it is too late. */
#include "config/check_int.h"
#include "config/errors.h"
#include "config/log_format.h"

void fg_check_log(struct fg_checker *c)
{
    const struct fg_config_access_log *log = &c->raw->out.access_log;
    const struct fg_mark *mark = fg_check_good(c, log, fg_check_under(fg_schema(), "access_log"), "format");
    struct fg_log_format format;
    char why[FG_LOG_WHY_BYTES], quoted[FG_QUOTE_BYTES];

    if (!mark)
        return;
    if (fg_log_format_compile(&format, log->format, why) == 0)
        fg_log_format_cleanup(&format);
    else
        fg_check_complain(c, mark, "found %s, %s", fg_errors_quote(quoted, fg_str_from(log->format)), why);
}
