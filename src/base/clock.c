/* clock.c: the system's clocks behind one door, and RFC 3339 both ways. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"

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

/* The time that a test has set, or 0. */
static inline int64_t fixed_us(void)
{
    if (!atomic_load_explicit(&environment_read, memory_order_acquire)) {
        read_environment();
    }
    return atomic_load_explicit(&fixed_now_us, memory_order_relaxed);
}

int64_t clock_now_us(void)
{
    const int64_t fixed = fixed_us();
    return fixed ? fixed : read_ns(CLOCK_REALTIME) / 1000;
}

#ifdef __x86_64__
/* The processor counts in a register what passes in the time between two readings of the clock. It
 * runs at 800 MHz or more, so that this many are at most 1.3 ms; a count that goes back, as another
 * processor's may, is a large one here. */
enum { ROUGH_TICKS = 1 << 20 };
static _Thread_local uint64_t rough_at;
static _Thread_local int64_t rough_us;

int64_t clock_rough_us(void)
{
    const int64_t fixed = fixed_us();
    const uint64_t now = __builtin_ia32_rdtsc();
    if (fixed) {
        return fixed;
    }
    if (now - rough_at >= ROUGH_TICKS || !rough_us) {
        rough_at = now;
        rough_us = read_ns(CLOCK_REALTIME) / 1000;
    }
    return rough_us;
}
#else
int64_t clock_rough_us(void)
{
    const int64_t fixed = fixed_us();
    return fixed ? fixed
                 : read_ns(CLOCK_REALTIME_COARSE) / 1000; /* set at each tick of the kernel */
}
#endif

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

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, year 0 or later: years begin
 * in March, so that the leap day is the last of its year and 153 days make five months. */
static int days_of_date(int year, int month, int day)
{
    year += 400 - (month <= 2); /* one cycle of 146097 days later, so that none is negative */
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468 - 146097;
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

/* Two digits as a number; sets the highest bit of `*wrong` where one is none, the number is then
 * any below 128. */
static inline int two_digits(const char *at, unsigned *wrong)
{
    unsigned tens = (unsigned char)at[0] - (unsigned)'0';
    unsigned ones = (unsigned char)at[1] - (unsigned)'0';
    *wrong |= tens | (9 - tens) | ones | (9 - ones);
    return (int)((tens * 10 + ones) & 0x7F);
}

static inline bool is_wrong(unsigned wrong)
{
    return wrong >> 31;
}

/*
 * Reads eight characters at once. `pattern` has a '0' for each digit and, of what is not, the
 * character itself. Byte i of the result is the number of two digits that begins at character i;
 * the highest bit of a byte of `*wrong` is set where a character is not as in the pattern.
 */
static inline uint64_t read_pairs(uint64_t word, const char *pattern, uint64_t *wrong)
{
    uint64_t differs = word ^ bytes_load64(pattern); /* of a digit: its value */
    uint64_t room = 0; /* what must be added to the first wrong value for 0x80 */
    for (int i = 0; i < 8; i++) {
        room |= (uint64_t)(pattern[i] == '0' ? 0x80 - 10 : 0x80 - 1) << (i * 8);
    }
    *wrong |= differs | (differs + room);
    return differs * 10 + (differs >> 8);
}

static inline bool has_high_bit(uint64_t word)
{
    return word & UINT64_C(0x8080808080808080);
}

static inline int pair_at(uint64_t pairs, int i)
{
    return (int)(pairs >> (i * 8) & 0xFF);
}

/* A date as days since 1970; false if there is no such day. */
static inline bool make_days(int year, int month, int day, int64_t *days)
{
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
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
    static const int scale[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    size_t digits = 0;
    int value = 0;
    *us = 0;
    if (rest->len == 0 || rest->ptr[0] != '.') {
        return true;
    }
    rest->ptr++;
    rest->len--;
    for (; digits < rest->len && (unsigned char)(rest->ptr[digits] - '0') < 10; digits++) {
        value = digits < 6 ? value * 10 + (rest->ptr[digits] - '0') : value;
    }
    *us = (int64_t)value * scale[digits < 6 ? digits : 6];
    rest->ptr += digits;
    rest->len -= digits;
    return digits > 0;
}

/* The zone, as seconds that local time runs ahead of UTC. */
static bool read_zone(struct str zone, int64_t *ahead_s)
{
    if (zone.len == 1) {
        *ahead_s = 0;
        return zone.ptr[0] == 'Z' || zone.ptr[0] == 'z';
    }
    if (zone.len != 6 || (zone.ptr[0] != '+' && zone.ptr[0] != '-') || zone.ptr[3] != ':') {
        return false;
    }
    unsigned wrong = 0;
    int hours = two_digits(zone.ptr + 1, &wrong), minutes = two_digits(zone.ptr + 4, &wrong);
    int seconds = hours * 3600 + minutes * 60;
    *ahead_s = zone.ptr[0] == '-' ? -seconds : seconds;
    return !is_wrong(wrong) && hours <= 23 && minutes <= 59;
}

enum { DATE_BYTES = 10, TIME_BYTES = 19 }; /* "YYYY-MM-DD", "YYYY-MM-DDTHH:MM:SS" */

bool clock_parse(struct str text, int64_t *out_us)
{
    int64_t days, us, ahead_s;
    uint64_t wrong = 0;
    unsigned second_wrong = 0;
    if (text.len < TIME_BYTES + 1) {
        return false;
    }
    char between = text.ptr[DATE_BYTES];
    uint64_t middle =
        bytes_load64(text.ptr + 8) & ~(UINT64_C(0xFF) << 16); /* `between` is asked below */
    uint64_t date = read_pairs(bytes_load64(text.ptr), "0000-00-", &wrong);
    uint64_t rest = read_pairs(middle,
                               "00"
                               "\0"
                               "00:00",
                               &wrong);
    int hour = pair_at(rest, 3), minute = pair_at(rest, 6);
    int second = two_digits(text.ptr + 17, &second_wrong);
    struct str tail = {text.ptr + TIME_BYTES, text.len - TIME_BYTES};
    if (has_high_bit(wrong) || is_wrong(second_wrong) || text.ptr[16] != ':' ||
        (between != 'T' && between != 't' && between != ' ') || hour > 23 || minute > 59 ||
        second > 60 ||
        !make_days(pair_at(date, 0) * 100 + pair_at(date, 2), pair_at(date, 5), pair_at(rest, 0),
                   &days) ||
        !take_fraction(&tail, &us) || !read_zone(tail, &ahead_s)) {
        return false;
    }
    int of_day = hour * 3600 + minute * 60 + second;
    *out_us = (days * 86400 + of_day - ahead_s) * CLOCK_US_PER_SECOND + us;
    return true;
}

bool clock_parse_day(struct str text, int64_t *out_us)
{
    int64_t days;
    uint64_t wrong = 0;
    unsigned day_wrong = 0;
    if (text.len != DATE_BYTES) {
        return false;
    }
    uint64_t date = read_pairs(bytes_load64(text.ptr), "0000-00-", &wrong);
    int day = two_digits(text.ptr + 8, &day_wrong);
    if (has_high_bit(wrong) || is_wrong(day_wrong) ||
        !make_days(pair_at(date, 0) * 100 + pair_at(date, 2), pair_at(date, 5), day, &days)) {
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
