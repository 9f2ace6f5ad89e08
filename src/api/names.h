/*
 * names.h: KOLs by their folded names and ids, in memory: what search and suggestions read.
 * Private to api/.
 *
 * SQL over the lists takes 2 ms and more for its planning alone; here a beginning is found among a
 * million KOLs in some 10 us, and any part of a name in 3 to 15 ms. It takes about 25 bytes a KOL
 * beside its folded name and id.
 *
 * Threads: one fills it; once it is finished any number reads.
 */
#ifndef API_NAMES_H
#define API_NAMES_H

#include "api/parts.h"

struct api_names;

enum {
    NAMES_ANYWHERE = -1, /* in place of a platform */
    NAMES_MOST = 100,    /* hits of one search */
    NAMES_TEXT = 1000,   /* bytes of a folded name that are looked at */
};

/* How a text was found, the best first. A word begins behind what is no letter and no digit. */
enum names_match { NAMES_EXACT, NAMES_PREFIX, NAMES_WORD, NAMES_PART, NAMES_NOT };
extern const char *const names_match_words[NAMES_NOT];

struct names_hit {
    int platform;      /* enum platform */
    struct str kol_id; /* valid as long as the names */
    enum names_match match;
    bool in_id, in_name; /* which of them holds (a suggestion: begins with) the text */
};

struct api_names *api_names_new(void);
void api_names_free(void *names);

/* The next KOL: they come by popularity, the most popular first. One with an id of more than 65,535
 * bytes is left out. False once there is no room for more (4 GiB of text). */
bool api_names_add(struct api_names *names, int platform, struct str kol_id, struct str id_folded,
                   struct str name_folded);
void api_names_finish(struct api_names *names);
size_t api_names_count(const struct api_names *names); /* KOLs */
size_t api_names_bytes(const struct api_names *names);

/* The KOLs whose name or id begins with a folded text, by popularity, each once; at most `max`,
 * which is at most NAMES_MOST. */
size_t api_names_suggest(const struct api_names *names, struct str prefix, size_t max,
                         struct names_hit *out);
/* Those whose name or id holds it, the best match first, then by popularity. */
size_t api_names_search(const struct api_names *names, struct str text, int platform, size_t max,
                        struct names_hit *out);

/* Those whose name or id is nearest to a folded text that nobody has: one edit away (a byte more,
 * less or another, or two swapped), from NAMES_NEAR_TWO bytes on also two, the nearest first, then
 * by popularity; where there is none, those that begin with it. At most `max`, at most NAMES_MOST.
 * Bounded, so that it can be asked for every unknown name: it looks at some thousand texts that are
 * near by alphabet, and may miss one whose first letters differ. A text of more than 64 bytes has
 * no near ones. */
enum { NAMES_NEAR_TWO = 5 };
size_t api_names_near(const struct api_names *names, struct str text, int platform, size_t max,
                      struct names_hit *out);

/* ---- names_copy.c ---- */

/* The names of a copy: made at the first use, or before by api_names_prepare(), and kept with it.
 */
enum kol_status api_names_of(struct api_copy *copy, const struct api_names **out,
                             struct kol_error *err) KOL_CHECKED;
/* The same where they are made, else NULL, without a wait. */
const struct api_names *api_names_ready(struct api_copy *copy);
/* A failure is logged; the first search tries again. */
void api_names_prepare(struct api_copy *copy);
/* The records of what was found there. */
enum kol_status api_names_records(struct api_copy *copy, const struct names_hit *hits, size_t count,
                                  struct online_record *out, struct kol_error *err) KOL_CHECKED;

#endif
