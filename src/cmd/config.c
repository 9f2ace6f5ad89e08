/* config.c: `kol config`: what is set, to what, and by whom. */
#include "cmd/command.h"

enum kol_status cmd_config(const struct invocation *call, struct kol_error *err)
{
    static const char *const names[] = {"option", "value", "origin"};
    if (flag_bool(call, "check")) {
        return KOL_OK; /* a wrong setting has ended the program before this */
    }
    struct rows *rows = rows_begin(stdout, call->format, names, 3);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        rows_text(rows, str_of(command_options[i].name));
        if (config_text(call->config, i)) {
            rows_text(rows, str_of(config_shown(call->config, i)));
        } else {
            rows_null(rows);
        }
        rows_text(rows, str_of(config_origin(call->config, i)));
    }
    return rows_end(&rows, err);
}
