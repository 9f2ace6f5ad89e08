/*
 * forecast_lines.c: forecasts of many series, for tests that judge them.
 *
 *   forecast_lines < SERIES
 *
 * A line of stdin is a horizon and the values of the days, separated by spaces; - is a day that was
 * not observed. A line of stdout has value, low80, high80, low95 and high95 of each day of the
 * horizon, or "refused" and why.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "score/forecast.h"

static size_t read_values(struct str rest, double *out)
{
    size_t count = 0;
    while (rest.len && count < FORECAST_MAX_DAYS) {
        const struct str word = str_cut(&rest, ' ');
        out[count++] = str_is(word, "-") ? NAN : strtod(word.ptr, NULL);
    }
    return count;
}

static void print(const struct forecast *forecast)
{
    for (size_t i = 0; i < forecast->horizon; i++) {
        const struct forecast_point *point = &forecast->points[i];
        printf("%s%.17g %.17g %.17g %.17g %.17g", i ? " " : "", point->value, point->low80,
               point->high80, point->low95, point->high95);
    }
    putchar('\n');
}

int main(void)
{
    static double values[FORECAST_MAX_DAYS];
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        struct forecast forecast;
        struct kol_error err;
        struct str rest = {line, (size_t)len};
        rest = str_trim(rest);
        const long horizon = strtol(str_cut(&rest, ' ').ptr, NULL, 10);
        const size_t count = read_values(rest, values);
        if (forecast_fit(values, count, (size_t)horizon, &forecast, &err) == KOL_OK) {
            print(&forecast);
        } else {
            printf("refused %s\n", err.message);
        }
    }
    free(line);
    return 0;
}
