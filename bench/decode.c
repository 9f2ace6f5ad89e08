/*
 * decode.c: how fast an event is decoded, beside jansson and cJSON building a tree of the same
 * bytes.
 *
 *   bench_decode [ROUNDS]      default 40
 *
 * Four shapes of event, 64 different ones of each, all around 500 bytes. In every round each reader
 * reads all of them in turn; CPU time counts, and the best round of each reader is shown. Ends with
 * status 1 where a profile or a video misses a floor: 20 times jansson, 5 times cJSON. The other
 * two shapes do more than a reader of trees: they make an id, or take escapes apart.
 */
#include <cjson/cJSON.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "domain/decode.h"
#include "domain/encode.h"

enum { EVENTS = 64, TURNS = 40, FLOOR_JANSSON = 20, FLOOR_CJSON = 5 };

enum reader { READ_KOL, READ_JANSSON, READ_CJSON, WRITE_KOL, READER_COUNT };

struct workload {
    const char *name;
    void (*make)(struct buf *out, int i);
    bool has_floor;
    struct buf events[EVENTS];
    size_t bytes;
    double best_ns[READER_COUNT]; /* per event */
};

/* A number that looks arbitrary and is the same in every run. */
static long long pick(int i, long long below)
{
    unsigned long long mixed = ((unsigned long long)i + 1) * 0x9E3779B97F4A7C15ull;
    return (long long)((mixed >> 17) % (unsigned long long)below);
}

static const char *const bios[] = {
    "Chia sẻ mẹo nấu ăn mỗi ngày 🍜 Liên hệ quảng cáo: hanh.bep@gmail.com",
    "Review đồ công nghệ, không nhận tiền để khen",
    "Mẹ hai con | Đà Nẵng | booking: 0905 xxx xxx",
    "Sài Gòn ăn gì hôm nay? Link món ngon ở dưới \\ud83d\\udc47\\nKênh phụ: @an_sap_sai_gon",
};

static const char *const captions[] = {
    "Thử món bún đậu mắm tôm 25k ở chợ Bàn Cờ 😋 #reviewanngon #saigon",
    "Cách làm bánh mì chảo cực đơn giản tại nhà\\nLưu lại kẻo quên nha cả nhà!",
    "Góc hậu trường của buổi quay hôm qua, cười không nhặt được mồm "
    "🤣🤣",
    "Mở hộp chiếc điện thoại rẻ nhất năm nay \\\"ngon bổ rẻ\\\" thật không?",
};

static void put_profile_body(struct buf *out, int i)
{
    buf_printf(out,
               "\"event_time\": \"2025-05-%02lldT21:%02lld:24.512Z\", \"event_type\": \"profile\", "
               "\"platform\": \"tiktok\", \"username\": \"an.sap.sai.gon%lld\", \"nickname\": "
               "\"Ăn Sập Sài Gòn %d\", \"bio\": \"%s\", \"followers_raw\": \"%lld.%lldM\", "
               "\"following_raw\": \"%lld\", \"followers_count\": %lld, \"following_count\": %lld, "
               "\"post_count\": %lld, \"favorites_count\": %lld, \"verified\": %s, "
               "\"sec_uid\": \"MS4wLjABAAAA%016llx\", \"region\": \"VN\", "
               "\"stats_v2\": {\"digg\": %lld, \"friends\": [1, 2]}}",
               1 + pick(i, 28), pick(i + 1, 60), pick(i, 1000), i, bios[i % 4], 1 + pick(i, 9),
               pick(i, 10), pick(i, 999), 1000 + pick(i, 9000000), pick(i, 999), pick(i, 3000),
               pick(i, 90000000), i % 3 ? "false" : "true", (unsigned long long)pick(i, 1LL << 46),
               pick(i, 5000));
}

static void make_profile(struct buf *out, int i)
{
    buf_printf(out, "{\"event_id\": \"tt-%lld-%d\", ", pick(i, 1000000000), i);
    put_profile_body(out, i);
}

static void make_nameless(struct buf *out, int i)
{
    buf_puts(out, "{");
    put_profile_body(out, i);
}

static void make_video(struct buf *out, int i)
{
    long long id = 7300000000000000000 + pick(i, 1LL << 46), views = pick(i, 20000000);
    buf_printf(
        out,
        "{\"event_id\":\"v-%lld\",\"event_time\":\"2025-05-%02lldT07:15:%02lldZ\","
        "\"event_type\":\"video\",\"platform\":\"tiktok\",\"username\":\"bep.nha.hanh%lld\","
        "\"video_id\":\"%lld\",\"video_url\":\"https://www.tiktok.com/@bep.nha.hanh/video/%lld\","
        "\"caption\":\"%s\",\"tags\":[\"reviewanngon\",\"saigon\",\"ẩm thực\"],"
        "\"posted_at\":\"2025-05-01T12:00:%02lldZ\",\"view_count\":%lld,\"like_count\":%lld,"
        "\"comment_count\":%lld,\"share_count\":%lld,\"duration_seconds\":%lld,"
        "\"music\":{\"id\":%lld,\"title\":\"nhạc nền\"},\"is_ad\":false}",
        id, 1 + pick(i, 28), pick(i, 60), pick(i, 100), id, id, captions[i % 4], pick(i, 60), views,
        views / 11, views / 300, views / 150, 5 + pick(i, 180), pick(i, 1LL << 40));
}

/* As Python's json.dumps() writes it unless told otherwise: all that is not ASCII escaped. */
static void make_escaped(struct buf *out, int i)
{
    struct buf plain = {0};
    make_video(&plain, i);
    json_t *tree = json_loadb(plain.ptr, plain.len, 0, NULL);
    KOL_ASSERT(tree);
    char *text = json_dumps(tree, JSON_ENSURE_ASCII);
    buf_puts(out, text);
    free(text);
    json_decref(tree);
    buf_free(&plain);
}

static struct workload workloads[] = {
    {.name = "profile", .make = make_profile, .has_floor = true},
    {.name = "video", .make = make_video, .has_floor = true},
    {.name = "profile without event_id", .make = make_nameless},
    {.name = "video, escaped to ASCII", .make = make_escaped},
};

static void read_kol(const struct workload *work, struct arena *arena)
{
    struct kol_error err;
    struct event event;
    int64_t now_us = clock_now_us();
    arena_reset(arena);
    for (int i = 0; i < EVENTS; i++) {
        if (event_decode(buf_str(&work->events[i]), now_us, arena, &event, &err) != KOL_OK) {
            kol_panic("%s: %s", work->name, err.message);
        }
    }
}

static void read_jansson(const struct workload *work)
{
    for (int i = 0; i < EVENTS; i++) {
        json_t *tree = json_loadb(work->events[i].ptr, work->events[i].len, JSON_ALLOW_NUL, NULL);
        KOL_ASSERT(tree);
        json_decref(tree);
    }
}

static void read_cjson(const struct workload *work)
{
    for (int i = 0; i < EVENTS; i++) {
        cJSON *tree = cJSON_ParseWithLength(work->events[i].ptr, work->events[i].len);
        KOL_ASSERT(tree);
        cJSON_Delete(tree);
    }
}

static void write_kol(const struct event *events, struct buf *out)
{
    buf_clear(out);
    for (int i = 0; i < EVENTS; i++) {
        event_encode(out, &events[i]);
    }
}

static void run_reader(struct workload *work, enum reader reader, const struct event *events,
                       struct arena *arena, struct buf *out)
{
    int64_t start_ns = clock_cpu_ns();
    for (int turn = 0; turn < TURNS; turn++) {
        switch (reader) {
        case READ_KOL: read_kol(work, arena); break;
        case READ_JANSSON: read_jansson(work); break;
        case READ_CJSON: read_cjson(work); break;
        default: write_kol(events, out); break;
        }
    }
    double ns = (double)(clock_cpu_ns() - start_ns) / (TURNS * EVENTS);
    if (work->best_ns[reader] == 0 || ns < work->best_ns[reader]) {
        work->best_ns[reader] = ns;
    }
}

static void measure(struct workload *work, int rounds)
{
    struct arena arena, kept;
    struct buf out = {0};
    struct event events[EVENTS];
    struct kol_error err;
    arena_init(&arena, 0);
    arena_init(&kept, 0);
    for (int i = 0; i < EVENTS; i++) {
        work->make(&work->events[i], i);
        work->bytes += work->events[i].len;
        if (event_decode(buf_str(&work->events[i]), clock_now_us(), &kept, &events[i], &err) !=
            KOL_OK) {
            kol_panic("%s: %s", work->name, err.message);
        }
    }
    for (int round = 0; round < rounds; round++) {
        for (int reader = 0; reader < READER_COUNT; reader++) {
            run_reader(work, (enum reader)reader, events, &arena, &out);
        }
    }
    for (int i = 0; i < EVENTS; i++) {
        buf_free(&work->events[i]);
    }
    buf_free(&out);
    arena_free(&arena);
    arena_free(&kept);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 15;
    bool reached = true;
    printf("%-26s %6s %9s %11s %9s %9s %8s %10s\n", "event", "bytes", "kol ns", "jansson ns",
           "cJSON ns", "/jansson", "/cJSON", "encode ns");
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        struct workload *work = &workloads[i];
        measure(work, rounds > 0 ? rounds : 1);
        const double *ns = work->best_ns;
        double jansson = ns[READ_JANSSON] / ns[READ_KOL], cjson = ns[READ_CJSON] / ns[READ_KOL];
        printf("%-26s %6zu %9.0f %11.0f %9.0f %8.1fx %7.1fx %10.0f\n", work->name,
               work->bytes / EVENTS, ns[READ_KOL], ns[READ_JANSSON], ns[READ_CJSON], jansson, cjson,
               ns[WRITE_KOL]);
        reached =
            reached && (!work->has_floor || (jansson >= FLOOR_JANSSON && cjson >= FLOOR_CJSON));
    }
    printf("floors of %dx jansson and %dx cJSON for profile and video: %s\n", FLOOR_JANSSON,
           FLOOR_CJSON, reached ? "reached" : "MISSED");
    return reached ? 0 : 1;
}
