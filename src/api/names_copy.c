/* names_copy.c: the names of an opened copy, and the records of those that are found. */
#include "api/names.h"
#include "base/clock.h"
#include "base/logger.h"

static struct str cell(const struct engine_result *result, size_t column, size_t row)
{
    return engine_null(result, column, row) ? (struct str){"", 0}
                                            : engine_text(result, column, row);
}

static enum kol_status read_names(struct engine_session *session, struct api_names *names,
                                  struct kol_error *err)
{
    struct engine_result *result;
    size_t rows = 0;
    enum kol_status status = engine_query(
        session, "SELECT platform::VARCHAR, kol_id, id_folded, name_folded FROM kols_by_followers",
        &result, err);
    if (status != KOL_OK) {
        return status;
    }
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows && status == KOL_OK; row++) {
            const int platform = api_platform_place(cell(result, 0, row));
            if (platform >= 0 && !api_names_add(names, platform, cell(result, 1, row),
                                                cell(result, 2, row), cell(result, 3, row))) {
                status = kol_fail(err, KOL_UNSUPPORTED, "too many names to be searched");
            }
        }
    }
    engine_result_free(&result);
    return status;
}

static enum kol_status make_names(struct api_copy *copy, void *user, void **out,
                                  struct kol_error *err)
{
    (void)user;
    struct engine_session *session;
    enum kol_status status = online_lists(copy->online, &session, err);
    if (status != KOL_OK) {
        return status;
    }
    struct api_names *names = api_names_new();
    status = read_names(session, names, err);
    engine_session_close(&session);
    if (status != KOL_OK) {
        api_names_free(names);
        return status;
    }
    api_names_finish(names);
    *out = names;
    return KOL_OK;
}

enum kol_status api_names_of(struct api_copy *copy, const struct api_names **out,
                             struct kol_error *err)
{
    void *names = NULL;
    enum kol_status status =
        api_copy_kept(copy, "names", make_names, NULL, api_names_free, &names, err);
    *out = names;
    return status;
}

const struct api_names *api_names_ready(struct api_copy *copy)
{
    return api_copy_kept_ready(copy, "names");
}

void api_names_prepare(struct api_copy *copy)
{
    const struct api_names *names;
    struct kol_error err;
    const int64_t start_ns = clock_mono_ns();
    if (api_names_of(copy, &names, &err) != KOL_OK) {
        log_warn("the names of copy %lld cannot be searched: %s", (long long)copy->info->number,
                 err.message);
        return;
    }
    log_info("%zu KOLs of copy %lld are found by names of %zu bytes, made in %lld ms",
             api_names_count(names), (long long)copy->info->number, api_names_bytes(names),
             (long long)((clock_mono_ns() - start_ns) / 1000000));
}

enum kol_status api_names_records(struct api_copy *copy, const struct names_hit *hits, size_t count,
                                  struct online_record *out, struct kol_error *err)
{
    struct online_key keys[NAMES_MOST] = {0};
    for (size_t i = 0; i < count; i++) {
        keys[i] = (struct online_key){str_of(platform_name((enum platform)hits[i].platform)),
                                      hits[i].kol_id};
    }
    enum kol_status status = online_get_many(copy->online, ONLINE_KOL, keys, count, out, err);
    for (size_t i = 0; i < count && status == KOL_OK; i++) {
        if (!out[i].bytes.len) {
            status = kol_fail(err, KOL_CORRUPT, "copy %lld lists a KOL '%.*s' that has no record",
                              (long long)copy->info->number, STR_FORMAT(hits[i].kol_id));
        }
    }
    return status;
}
