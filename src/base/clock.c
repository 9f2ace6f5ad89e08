/* clock.c: the system's clocks behind one door, and RFC 3339 both ways. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static _Atomic int64_t fixed_now_us;
static atomic_bool environment_read;

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void read_environment(void)
{
    int64_t now_us;
    if (!atomic_exchange(&environment_read, true) &&
        clock_parse(str_of(getenv("KOL_TEST_NOW")), &now_us)) {
        atomic_store(&fixed_now_us, now_us);
    }
}

int64_t clock_now_us(void)
{
    if (!atomic_load_explicit(&environment_read, memory_order_acquire)) {
        read_environment();
    }
    int64_t fixed = atomic_load_explicit(&fixed_now_us, memory_order_relaxed);
    return fixed ? fixed : read_ns(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void clock_fix(int64_t now_us)
{
    atomic_store(&environment_read, true);
    atomic_store(&fixed_now_us, now_us);
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar: years begin in March, so
 * that the leap day is the last of its year and 153 days make five months. */
static int64_t days_of_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int shifted = (int)((5 * day_of_year + 2) / 153);
    *day = (int)(day_of_year - (153 * shifted + 2) / 5) + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

/* Takes exactly `count` digits from the front of `*rest`. */
static bool take_digits(struct str *rest, int count, int *out)
{
    int value = 0;
    if (rest->len < (size_t)count) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned char)rest->ptr[i] - (unsigned)'0';
        if (digit > 9) {
            return false;
        }
        value = value * 10 + (int)digit;
    }
    rest->ptr += count;
    rest->len -= (size_t)count;
    *out = value;
    return true;
}

static bool take_char(struct str *rest, const char *allowed)
{
    for (; rest->len && *allowed; allowed++) {
        if (rest->ptr[0] == *allowed) {
            rest->ptr++;
            rest->len--;
            return true;
        }
    }
    return false;
}

static bool take_date(struct str *rest, int64_t *days)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_digits(rest, 4, &year) || !take_char(rest, "-") || !take_digits(rest, 2, &month) ||
        !take_char(rest, "-") || !take_digits(rest, 2, &day)) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
        (month == 2 && day == 29 && !leap)) {
        return false;
    }
    *days = days_of_date(year, month, day);
    return true;
}

/* The fraction behind the seconds, cut to microseconds; no fraction is 0. */
static bool take_fraction(struct str *rest, int64_t *us)
{
    int64_t weight = 100000;
    int digit, count = 0;
    *us = 0;
    if (!take_char(rest, ".")) {
        return true;
    }
    for (; take_digits(rest, 1, &digit); weight /= 10, count++) {
        *us += digit * weight;
    }
    return count > 0;
}

/* The zone, as seconds that local time runs ahead of UTC. */
static bool take_zone(struct str *rest, int64_t *ahead_s)
{
    int hours, minutes;
    if (take_char(rest, "Zz")) {
        *ahead_s = 0;
        return true;
    }
    int sign = rest->len && rest->ptr[0] == '-' ? -1 : 1;
    if (!take_char(rest, "+-") || !take_digits(rest, 2, &hours) || !take_char(rest, ":") ||
        !take_digits(rest, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ahead_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool clock_parse(struct str text, int64_t *out_us)
{
    int64_t days, us, ahead_s;
    int hour, minute, second;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") || !take_digits(&text, 2, &hour) ||
        !take_char(&text, ":") || !take_digits(&text, 2, &minute) || !take_char(&text, ":") ||
        !take_digits(&text, 2, &second) || !take_fraction(&text, &us) ||
        !take_zone(&text, &ahead_s) || text.len || hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second - ahead_s;
    *out_us = seconds * CLOCK_US_PER_SECOND + us;
    return true;
}

bool clock_parse_day(struct str text, int64_t *out_us)
{
    int64_t days;
    if (!take_date(&text, &days) || text.len) {
        return false;
    }
    *out_us = days * CLOCK_US_PER_DAY;
    return true;
}

/* Writes the last `width` digits of `value`, zeros in front; returns what follows them. */
static char *put_digits(char *at, int64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + width;
}

void clock_format(struct buf *buf, int64_t time_us)
{
    int64_t days = time_us / CLOCK_US_PER_DAY, rest = time_us % CLOCK_US_PER_DAY, year;
    int month, day;
    if (rest < 0) {
        rest += CLOCK_US_PER_DAY;
        days--;
    }
    date_of_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) {
        buf_printf(buf, "%lld-%02d-%02d", (long long)year, month, day);
    } else {
        char date[10], *at = put_digits(date, year, 4);
        *at++ = '-';
        at = put_digits(at, month, 2);
        *at++ = '-';
        put_digits(at, day, 2);
        buf_append(buf, date, sizeof date);
    }
    char clock[17] = "T", *at = clock + 1;
    int64_t second = rest / CLOCK_US_PER_SECOND, us = rest % CLOCK_US_PER_SECOND;
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    if (us) {
        *at++ = '.';
        at = put_digits(at, us, 6);
    }
    buf_append(buf, clock, (size_t)(at - clock));
    buf_putc(buf, 'Z');
}
