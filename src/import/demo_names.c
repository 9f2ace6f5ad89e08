/*
 * demo_names.c: names, ids, bios and count strings of the demo world.
 *
 * A username must be there once per platform among 10 million KOLs without a list of those given
 * out, so it is a code of the KOL's number: 15 bits of it, scrambled, choose the given name, the
 * second word and the separator, the bits above the tail behind (none for the first 32,768
 * KOLs, who get decorations by chance). Accounts with many digits carry the scrambled number
 * itself.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "import/demo_parts.h"

enum { GIVEN_COUNT = 128, SECOND_COUNT = 128, NAME_BITS = 15, DIGIT_SPACE = 100000000 };

struct given_name {
    enum demo_language language;
    const char *plain, *shown;
};

struct second_name {
    enum demo_language language;
    const char *plain, *shown;
    enum demo_category category;
};

/* Rows of both languages, the Vietnamese ones first: row = language * 128 + 7 bits. */
static const struct given_name givens[] = {
#define GIVEN(language, plain, shown) {DEMO_##language, plain, shown},
#define SECOND(...)
#include "import/demo_names.def"
#undef GIVEN
#undef SECOND
};

static const struct second_name seconds[] = {
#define GIVEN(...)
#define SECOND(language, plain, shown, category) {DEMO_##language, plain, shown, DEMO_##category},
#include "import/demo_names.def"
#undef GIVEN
#undef SECOND
};

_Static_assert(sizeof givens / sizeof givens[0] == (size_t)2 * GIVEN_COUNT, "7 bits each");
_Static_assert(sizeof seconds / sizeof seconds[0] == (size_t)2 * SECOND_COUNT, "7 bits each");

const struct demo_category_words demo_categories[DEMO_CATEGORY_COUNT] = {
#define CATEGORY(NAME, text, tags, vb1, vb2, eb1, eb2, vc1, vc2, vc3, ec1, ec2, ec3)               \
    [DEMO_##NAME] = {text, tags, {{vb1, vb2}, {eb1, eb2}}, {{vc1, vc2, vc3}, {ec1, ec2, ec3}}},
#include "import/demo_categories.def"
#undef CATEGORY
};

struct str demo_text(struct arena *arena, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    KOL_ASSERT(len >= 0 && (size_t)len < sizeof text);
    return arena_copy(arena, (struct str){text, (size_t)len});
}

/* Numbers below 2^44, one for each item of each KOL. */
static uint64_t item_code(int64_t number, uint32_t item)
{
    return (uint64_t)number << 20 | item;
}

struct str demo_digits_id(struct arena *arena, const struct demo_world *world, int64_t number,
                          uint32_t item, const char *lead)
{
    uint64_t code = demo_permute(item_code(number, item), 59, world->seed ^ 0xd161);
    return demo_text(arena, "%s%018llu", lead, (unsigned long long)code);
}

struct str demo_letters_id(struct arena *arena, const struct demo_world *world, int64_t number,
                           uint32_t item, const char *lead)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t code = demo_permute(item_code(number, item), 63, world->seed ^ 0x1e77);
    char text[12] = {0};
    for (int i = 0; i < 11; i++, code >>= 6) {
        text[i] = letters[code & 63];
    }
    return demo_text(arena, "%s%s", lead, text);
}

/* `value` with at most `decimals` digits behind the point, cut, trailing zeros left out. */
static struct str decimal_text(struct arena *arena, double value, int decimals, char point,
                               const char *suffix)
{
    double scale = decimals == 2 ? 100 : 10;
    int64_t scaled = (int64_t)floor(value * scale + 1e-9), unit = (int64_t)scale;
    int64_t whole = scaled / unit, part = scaled % unit;
    if (part == 0) {
        return demo_text(arena, "%lld%s", (long long)whole, suffix);
    }
    if (decimals == 2 && part % 10 == 0) {
        part /= 10;
        decimals = 1;
    }
    return demo_text(arena, "%lld%c%0*lld%s", (long long)whole, point, decimals, (long long)part,
                     suffix);
}

struct str demo_count_text(struct arena *arena, const struct demo_kol *kol, int64_t count)
{
    bool vietnamese = kol->language == DEMO_VI;
    char point = vietnamese ? ',' : '.';
    double value = (double)count;
    if (count >= 1000000000) {
        return decimal_text(arena, value / 1e9, 1, point, "B");
    }
    if (count >= 1000000) {
        int decimals = kol->platform == PLATFORM_YOUTUBE ? 2 : 1;
        return decimal_text(arena, value / 1e6, decimals, point, vietnamese ? "Tr" : "M");
    }
    if (count >= 10000) {
        return decimal_text(arena, value / 1e3, 1, point, vietnamese ? "N" : "K");
    }
    if (count >= 1000 && kol->platform != PLATFORM_TIKTOK) {
        return demo_text(arena, "%lld%c%03lld", (long long)(count / 1000), vietnamese ? '.' : ',',
                         (long long)(count % 1000));
    }
    return demo_text(arena, "%lld", (long long)count);
}

/* Two digits, a year of birth or none behind the names of the first block. */
static void put_decoration(char *out, size_t size, struct demo_random *random)
{
    out[0] = 0;
    if (demo_chance(random, 0.35)) {
        snprintf(out, size, "%02d", (int)demo_below(random, 100));
    }
}

/*
 * The tail of a block is different for each of the first 520 blocks, and never a decoration. Three
 * digits; on Twitter, whose names end at 15 letters, a letter and a digit in either order.
 */
static void put_tail(char *out, size_t size, const struct demo_kol *kol, struct demo_random *random)
{
    int block = (int)(kol->number >> NAME_BITS);
    put_decoration(out, size, random);
    if (block == 0) {
        return;
    }
    if (kol->platform != PLATFORM_TWITTER) {
        snprintf(out, size, "%03d", block * 577 % 900 + 100);
        return;
    }
    int code = block * 577 % 520, letter = 'a' + code / 10 % 26, digit = '0' + code % 10;
    bool letter_first = code < 260;
    snprintf(out, size, "%c%c", letter_first ? letter : digit, letter_first ? digit : letter);
}

static struct str put_words(struct arena *arena, const struct demo_kol *kol, bool second_style,
                            const char *tail)
{
    const struct given_name *given = &givens[kol->given];
    const struct second_name *second = &seconds[kol->second];
    switch (kol->platform) {
    case PLATFORM_TWITTER:
        return second_style ? demo_text(arena, "%s_%s%s", given->plain, second->plain, tail)
                            : demo_text(arena, "%c%s%c%s%s", given->plain[0] - 32, given->plain + 1,
                                        second->plain[0] - 32, second->plain + 1, tail);
    case PLATFORM_YOUTUBE:
        return demo_text(arena, "%s %s%s%s%s", given->shown, second->shown,
                         second_style ? " Channel" : "", tail[0] ? " " : "", tail);
    default:
        return demo_text(arena, "%s%c%s%s", given->plain, second_style ? '_' : '.', second->plain,
                         tail);
    }
}

static struct str put_digits(const struct demo_world *world, struct arena *arena,
                             const struct demo_kol *kol)
{
    uint64_t code = ((uint64_t)kol->number * 61803399 + world->seed % DIGIT_SPACE) % DIGIT_SPACE;
    const struct given_name *given = &givens[kol->given];
    switch (kol->platform) {
    case PLATFORM_TIKTOK: return demo_text(arena, "user71%08llu53", (unsigned long long)code);
    case PLATFORM_YOUTUBE:
        return demo_text(arena, "%s %08llu", given->shown, (unsigned long long)code);
    default:
        return demo_text(arena, "%c%s%08llu",
                         given->plain[0] - (kol->platform == PLATFORM_TWITTER ? 32 : 0),
                         given->plain + 1, (unsigned long long)code);
    }
}

static struct str put_nickname(struct arena *arena, const struct demo_kol *kol,
                               struct demo_random *random)
{
    static const char *const signs[] = {"", "", "", "", " ✨", " 🌸", " 🔥", " 💫", " Official"};
    const char *sign = signs[demo_below(random, ARRAY_LEN(signs))];
    const struct given_name *given = &givens[kol->given];
    const struct second_name *second = &seconds[kol->second];
    if (kol->platform == PLATFORM_YOUTUBE) {
        return kol->username;
    }
    if (kol->language == DEMO_VI && second->category == DEMO_NONE) {
        int middle = DEMO_VI * GIVEN_COUNT + (int)demo_below(random, GIVEN_COUNT);
        return demo_text(arena, "%s %s %s%s", second->shown, givens[middle].shown, given->shown,
                         sign);
    }
    return demo_text(arena, "%s %s%s", given->shown, second->shown, sign);
}

void demo_name_make(const struct demo_world *world, struct arena *arena, struct demo_kol *kol)
{
    struct demo_random random;
    demo_random_init(&random, world->seed, (uint64_t)kol->number, DEMO_NAME);
    uint64_t low = (uint64_t)kol->number & ((1 << NAME_BITS) - 1);
    uint64_t code = demo_permute(low, NAME_BITS, world->seed ^ 0x4a3e);
    kol->given = (int)(code & 127) + kol->language * GIVEN_COUNT;
    kol->second = (int)(code >> 7 & 127) + kol->language * SECOND_COUNT;
    kol->category = seconds[kol->second].category;
    if (kol->category == DEMO_NONE) {
        kol->category = (enum demo_category)demo_below(&random, DEMO_CATEGORY_COUNT);
    }
    char tail[16];
    put_tail(tail, sizeof tail, kol, &random);
    bool digits = demo_chance(&random, kol->bot_habits ? 0.42 : 0.06);
    kol->username =
        digits ? put_digits(world, arena, kol) : put_words(arena, kol, code >> 14 & 1, tail);
    kol->nickname = put_nickname(arena, kol, &random);
}

static struct str bio_text(struct arena *arena, const struct demo_kol *kol,
                           struct demo_random *random)
{
    const char *first = demo_categories[kol->category].bios[kol->language][demo_below(random, 2)];
    const char *plain = givens[kol->given].plain;
    bool vietnamese = kol->language == DEMO_VI;
    switch (demo_below(random, 6)) {
    case 0: return str_of(first);
    case 1:
        return demo_text(arena, "%s\n📩 %s%lld@example.com", first, plain, (long long)kol->number);
    case 2:
        return demo_text(arena, "%s\n%s 👇", first,
                         vietnamese ? "Link sản phẩm ở đây" : "Shop my favourites");
    case 3:
        return demo_text(arena, "%s | %s", first, vietnamese ? "Liên hệ quảng cáo: ib" : "Ads: DM");
    case 4:
        return demo_text(arena, "%s\n%s\n🌱 since %d", first,
                         vietnamese ? "Cảm ơn vì đã ở đây ❤️"
                                    : "Thanks for being here ❤️",
                         2012 + (int)demo_below(random, 13));
    default:
        return demo_text(arena, "\"%s\"\n%s", vietnamese ? "Sống là không chờ đợi" : "Stay curious",
                         first);
    }
}

void demo_bio_make(const struct demo_world *world, struct arena *arena, struct demo_kol *kol)
{
    static const char *const bait[] = {"follow back 100% 🔁", "DM for promo", "link in bio 👉",
                                       "Kiếm tiền online 5tr/ngày, ib ngay", "#f4f #l4l"};
    struct demo_random random;
    demo_random_init(&random, world->seed, (uint64_t)kol->number, DEMO_NAME + 0x100);
    bool blank = demo_chance(&random, kol->bot_habits ? 0.45 : 0.10);
    bool told = demo_chance(&random, 0.93);
    bool spam = demo_chance(&random, kol->bot_habits ? 0.35 : 0.02);
    struct str text =
        spam ? str_of(bait[demo_below(&random, ARRAY_LEN(bait))]) : bio_text(arena, kol, &random);
    if (told) {
        kol->bio = blank ? STR("") : text;
        kol->later_bio = bio_text(arena, kol, &random);
    }
}

struct str demo_name_passer_by(struct arena *arena, struct demo_random *random,
                               enum demo_language language)
{
    int row = (int)demo_below(random, GIVEN_COUNT) + language * GIVEN_COUNT;
    int separator = demo_chance(random, 0.5) ? '.' : '_';
    return demo_text(arena, "%s%c%04d", givens[row].plain, separator,
                     (int)demo_below(random, 10000));
}
