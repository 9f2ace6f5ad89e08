/*
 * params.h: every parameter of the API, once: type, default, bounds and help.
 *
 * Rows of routes_*.def name them in FIELDS(). A parameter that stands in the path as {name} is
 * required by that alone. What differs from route to route is an argument of the macro.
 */
#ifndef API_PARAMS_H
#define API_PARAMS_H

#include "http/http.h"

#define API_PLATFORMS "tiktok twitter youtube instagram"
#define API_TIERS "Rising Nano Micro Mid Macro Mega"

#define P_TEXT(NAME, MIN, MAX, EXAMPLE, HELP)                                                      \
    {                                                                                              \
        .name = NAME, .kind = HTTP_TEXT, .min = MIN, .max = MAX, .example = EXAMPLE, .help = HELP  \
    }
#define P_CHOICE(NAME, CHOICES, FALLBACK, EXAMPLE, HELP)                                           \
    {                                                                                              \
        .name = NAME, .kind = HTTP_CHOICE, .choices = CHOICES, .fallback = FALLBACK,               \
        .example = EXAMPLE, .help = HELP                                                           \
    }

/* ---- in the path ---- */

#define P_KOL_ID                                                                                   \
    {                                                                                              \
        .name = "kol_id", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 300,               \
        .example = "ly.sport", .help = "The KOL: its username, or platform:username"               \
    }
#define P_CONTENT_ID                                                                               \
    {                                                                                              \
        .name = "content_id", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 300,           \
        .example = API_EXAMPLE_CONTENT,                                                            \
        .help = "The content: its id on its platform, or platform:content_id"                      \
    }
#define P_ON_PLATFORM                                                                              \
    {                                                                                              \
        .name = "platform", .kind = HTTP_CHOICE, .required = true,                                 \
        .choices = API_PLATFORMS " all", .example = "tiktok",                                      \
        .help = "One platform, or all of them together"                                            \
    }
#define P_DATE                                                                                     \
    {                                                                                              \
        .name = "date", .kind = HTTP_DATE, .required = true, .example = "2025-06-29",              \
        .help = "A day in UTC"                                                                     \
    }
#define P_USER                                                                                     \
    {                                                                                              \
        .name = "user_id", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 64,               \
        .example = "ana", .help = "The user, as the program that asks calls them"                  \
    }
#define P_TOPIC                                                                                    \
    {                                                                                              \
        .name = "topic", .kind = HTTP_CHOICE, .required = true, .choices = API_TOPICS,             \
        .example = "kol.profiles.raw", .help = "The topic of the event log"                        \
    }
#define P_FILE                                                                                     \
    {                                                                                              \
        .name = "file", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 100,                 \
        .example = "start.js", .help = "A file of the page"                                        \
    }

/* Topics that a source may write into. */
#define API_TOPICS                                                                                 \
    "kol.discovery.raw kol.profiles.raw kol.videos.raw kol.comments.raw kol.products.raw"

/* A content of the demo world. */
#define API_EXAMPLE_CONTENT "C3tLDSLfo8JG"

/* ---- in the query ---- */

#define P_PLATFORM                                                                                 \
    P_CHOICE("platform", API_PLATFORMS, NULL, "tiktok",                                            \
             "Picks the KOL where platforms share its name; else the one with most followers is "  \
             "meant")
#define P_CONTENT_PLATFORM                                                                         \
    P_CHOICE("platform", API_PLATFORMS, NULL, "instagram",                                         \
             "Picks the content where platforms share its id; else the one with most views is "    \
             "meant")
#define P_ANY_PLATFORM                                                                             \
    P_CHOICE("platform", API_PLATFORMS " all", "all", "tiktok", "Only those of one platform")

#define P_LIMIT(FALLBACK)                                                                          \
    {                                                                                              \
        .name = "limit", .kind = HTTP_INT, .fallback = FALLBACK, .min = 1, .max = 100,             \
        .example = "10", .help = "How many at most"                                                \
    }
#define P_OFFSET                                                                                   \
    {                                                                                              \
        .name = "offset", .kind = HTTP_INT, .fallback = "0", .min = 0, .max = 1000000000,          \
        .example = "50",                                                                           \
        .help =                                                                                    \
            "How many to pass over; a cursor does the same without a shift when rows are added"    \
    }
#define P_CURSOR                                                                                   \
    {                                                                                              \
        .name = "cursor", .kind = HTTP_TEXT, .min = 1, .max = 400,                                 \
        .help =                                                                                    \
            "next_cursor of the page before, with the same filters; stands for offset and pins "   \
            "the snapshot for 15 minutes"                                                          \
    }
#define P_SORT_BY                                                                                  \
    P_CHOICE("sort_by", "followers engagement trust_score trending success composite",             \
             "followers", "followers", "What the list is sorted by; unknown values come last")
#define P_ORDER P_CHOICE("order", "desc asc", "desc", "desc", "Highest or lowest first")
#define P_BY P_CHOICE("by", "followers engagement", "followers", "engagement", "What makes the top")
#define P_VERIFIED                                                                                 \
    {                                                                                              \
        .name = "verified", .kind = HTTP_BOOL, .example = "true",                                  \
        .help = "Only verified accounts, or only those known not to be"                            \
    }
#define P_TIER                                                                                     \
    {                                                                                              \
        .name = "tier", .kind = HTTP_WORDS, .choices = API_TIERS, .min = 1, .max = 6,              \
        .example = "Macro,Mega", .help = "Only these tiers, comma-separated"                       \
    }
#define P_CATEGORY                                                                                 \
    {                                                                                              \
        .name = "category", .kind = HTTP_WORDS, .min = 1, .max = 20, .example = "beauty",          \
        .help = "Only these categories, comma-separated"                                           \
    }
#define P_LANG                                                                                     \
    {                                                                                              \
        .name = "lang", .kind = HTTP_WORDS, .min = 1, .max = 20, .example = "vi",                  \
        .help = "Only these languages, comma-separated"                                            \
    }
#define P_MIN_FOLLOWERS                                                                            \
    {                                                                                              \
        .name = "min_followers", .kind = HTTP_INT, .min = 0, .max = 9007199254740991,              \
        .example = "10000",                                                                        \
        .help = "At least so many followers; leaves out whom nobody told the count of"             \
    }
#define P_MAX_FOLLOWERS                                                                            \
    {                                                                                              \
        .name = "max_followers", .kind = HTTP_INT, .min = 0, .max = 9007199254740991,              \
        .example = "1000000",                                                                      \
        .help = "At most so many followers; leaves out whom nobody told the count of"              \
    }
#define P_MIN_TRUST                                                                                \
    {                                                                                              \
        .name = "min_trust", .kind = HTTP_REAL, .min = 0, .max = 100, .example = "60",             \
        .help = "A trust score of at least so many points"                                         \
    }
#define P_FILTER_Q                                                                                 \
    P_TEXT("q", 1, 100, "linh", "Only those whose name or id holds this, whatever case or accents")
#define P_INCLUDE                                                                                  \
    {                                                                                              \
        .name = "include", .kind = HTTP_WORDS, .choices = "scores", .min = 1, .max = 1,            \
        .example = "scores", .help = "scores: each row also has its scores"                        \
    }
#define P_FIELDS                                                                                   \
    {                                                                                              \
        .name = "fields", .kind = HTTP_WORDS, .min = 1, .max = 60,                                 \
        .example = "display_name,followers_count",                                                 \
        .help = "Only these members of each row; kol_id and platform are always there"             \
    }
#define P_FORMAT                                                                                   \
    P_CHOICE("format", "json csv", NULL, "csv", "csv: the rows as CSV; wins over Accept")
#define P_EXPORT_FORMAT                                                                            \
    P_CHOICE("format", "csv ndjson parquet", NULL, "csv",                                          \
             "csv, a JSON object a line, or Parquet; wins over Accept; csv where neither says")

#define P_KOL_IDS                                                                                  \
    {                                                                                              \
        .name = "kol_ids", .kind = HTTP_WORDS, .required = true, .min = 2, .max = 10,              \
        .example = "ly.sport,andrea.gym",                                                          \
        .help = "2 to 10 KOLs, comma-separated, each a username or platform:username"              \
    }
#define P_DAYS                                                                                     \
    {                                                                                              \
        .name = "days", .kind = HTTP_INT, .fallback = "30", .min = 1, .max = 3660, .example = "7", \
        .help = "Days back from the newest day on which the KOL was observed"                      \
    }
#define P_DAILY_METRIC                                                                             \
    P_CHOICE("metric", "followers following posts favorites views", "followers", "followers",      \
             "Which daily count")
#define P_FORECAST_METRIC                                                                          \
    P_CHOICE("metric", "followers views", "followers", "followers", "Which daily count")
#define P_HORIZON                                                                                  \
    {                                                                                              \
        .name = "horizon", .kind = HTTP_INT, .fallback = "30", .min = 1, .max = 90,                \
        .example = "14", .help = "Days ahead"                                                      \
    }
#define P_SCORE_METRIC                                                                             \
    P_CHOICE("metric", "trending trust success composite", "trending", "trust", "Which score ranks")
#define P_LABEL                                                                                    \
    P_TEXT("label", 1, 20, "Viral",                                                                \
           "Only those with this label of the metric: Viral, Hot, Warm, Normal, Cold; high, "      \
           "medium, low; High, Not-High")
#define P_Q                                                                                        \
    {                                                                                              \
        .name = "q", .kind = HTTP_TEXT, .required = true, .min = 2, .max = 100, .example = "linh", \
        .help = "What is looked for in names and ids, whatever case or accents"                    \
    }
#define P_PREFIX                                                                                   \
    {                                                                                              \
        .name = "prefix", .kind = HTTP_TEXT, .required = true, .min = 1, .max = 50,                \
        .example = "li", .help = "How the name or the id begins, whatever case or accents"         \
    }
#define P_USER_REMEMBERS                                                                           \
    {                                                                                              \
        .name = "user_id", .kind = HTTP_TEXT, .min = 1, .max = 64, .example = "ana", .acts = true, \
        .help = "Remembers the search for this user, see /search/recent"                           \
    }

#endif
