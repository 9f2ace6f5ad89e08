/*
 * build_records.c: records.mdb: the rows of KOLs and of content, packed, in the order of their
 * keys, so that LMDB fills one page after the other and never splits one.
 */
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "online/build.h"

enum {
    COMMIT_BYTES = 48 << 20, /* of dirty pages, which LMDB holds in memory until the commit */
    SAY_EVERY = 1 << 16,     /* records */
};

static const size_t map_bytes = (size_t)256 << 30;

/* The records of one kind on their way into the file. */
struct writer {
    struct online_build_state *state;
    enum online_kind kind;
    struct online_env *env;
    MDB_txn *txn; /* NULL between two commits */
    MDB_dbi table;
    size_t dirty; /* bytes since the last commit */
    int64_t done;
    struct buf record;
};

static enum kol_status fail(const struct writer *writer, int rc, struct kol_error *err)
{
    return online_env_fail(writer->env, rc, "write a record", err);
}

static enum kol_status begin(struct writer *writer, struct kol_error *err)
{
    int rc = mdb_txn_begin(writer->env->mdb, NULL, 0, &writer->txn);
    rc =
        rc ? rc
           : mdb_dbi_open(writer->txn, online_kind_names[writer->kind], MDB_CREATE, &writer->table);
    return rc ? fail(writer, rc, err) : KOL_OK;
}

static enum kol_status commit(struct writer *writer, struct kol_error *err)
{
    int rc = mdb_txn_commit(writer->txn);
    writer->txn = NULL;
    writer->dirty = 0;
    FAILPOINT("online.records.commit");
    return rc ? fail(writer, rc, err) : KOL_OK;
}

/* A key that is not behind the last one: an id that was cut, or one with a NUL in it. */
static int put_out_of_order(struct writer *writer, MDB_val *key, MDB_val *value)
{
    return mdb_put(writer->txn, writer->table, key, value, MDB_NOOVERWRITE);
}

static enum kol_status put(struct writer *writer, struct str platform, struct str id,
                           struct kol_error *err)
{
    char bytes[ONLINE_MAX_KEY];
    MDB_val key = {online_record_key(bytes, platform, id), bytes};
    MDB_val value = online_val(buf_str(&writer->record));
    if (key.mv_size == 0) {
        return kol_fail(err, KOL_INVALID, "'%.*s' is no name of a platform", STR_FORMAT(platform));
    }
    int rc = mdb_put(writer->txn, writer->table, &key, &value, MDB_APPEND);
    if (rc == MDB_KEYEXIST) {
        value = online_val(buf_str(&writer->record));
        rc = put_out_of_order(writer, &key, &value);
    }
    if (rc == MDB_KEYEXIST) {
        return kol_fail(err, KOL_INVALID, "there are two rows of %s '%.*s' on %.*s",
                        online_kind_names[writer->kind], STR_FORMAT(id), STR_FORMAT(platform));
    }
    writer->dirty += key.mv_size + writer->record.len + 64;
    return rc ? fail(writer, rc, err) : KOL_OK;
}

static enum kol_status write_row(struct writer *writer, const struct engine_result *result,
                                 size_t row, struct kol_error *err)
{
    const struct online_layout *layout = &writer->state->meta.layouts[writer->kind];
    enum kol_status status = record_pack(layout, result, 0, row, &writer->record, err);
    if (status == KOL_OK && !writer->txn) {
        status = begin(writer, err);
    }
    if (status == KOL_OK) {
        status = put(writer, engine_text(result, 0, row), engine_text(result, 1, row), err);
    }
    if (status == KOL_OK && writer->dirty >= COMMIT_BYTES) {
        status = commit(writer, err);
    }
    return status;
}

static enum kol_status write_rows(struct writer *writer, struct engine_result *result,
                                  struct kol_error *err)
{
    const struct online_info *info = &writer->state->meta.info;
    const int64_t total = writer->kind == ONLINE_KOL ? info->kols : info->contents;
    size_t rows = 1;
    enum kol_status status = begin(writer, err); /* the table is there without rows, too */
    while (status == KOL_OK && (status = engine_next(result, &rows, err)) == KOL_OK && rows) {
        for (size_t row = 0; row < rows && status == KOL_OK; row++) {
            status = write_row(writer, result, row, err);
            if (++writer->done % SAY_EVERY == 0) {
                online_say(writer->state, online_kind_names[writer->kind], writer->done, total);
            }
        }
    }
    if (status == KOL_OK && writer->txn) {
        status = commit(writer, err);
    }
    if (status == KOL_OK && writer->done != total) {
        status =
            kol_fail(err, KOL_CORRUPT, "the online copy got %lld of %lld records of %s",
                     (long long)writer->done, (long long)total, online_kind_names[writer->kind]);
    }
    return status;
}

static enum kol_status write_kind(struct online_build_state *state, struct online_env *env,
                                  enum online_kind kind, struct kol_error *err)
{
    struct writer writer = {.state = state, .kind = kind, .env = env};
    struct engine_result *result = NULL;
    struct buf sql = {0};
    buf_printf(&sql, "SELECT * FROM (%s) ORDER BY %s, platform", state->rows[kind].ptr,
               online_id_columns[kind]);
    online_say(state, online_kind_names[kind], 0, 0);
    enum kol_status status = engine_query(state->input->session, sql.ptr, &result, err);
    if (status == KOL_OK) {
        status = write_rows(&writer, result, err);
        engine_result_free(&result);
    }
    if (writer.txn) {
        mdb_txn_abort(writer.txn);
    }
    buf_free(&writer.record);
    buf_free(&sql);
    return status;
}

enum kol_status online_build_records(struct online_build_state *state, struct kol_error *err)
{
    /* Nobody else has the file open; it is synced once, at the end. */
    const struct online_env_options options = {.what = "online copy",
                                               .flags = MDB_NOLOCK | MDB_NOSYNC,
                                               .map_bytes = map_bytes,
                                               .tables = ONLINE_KINDS};
    struct online_env env;
    char *path = file_join(state->folder, "records.mdb");
    enum kol_status status = online_env_open(&env, path, &options, err);
    free(path);
    if (status != KOL_OK) {
        return status;
    }
    for (int kind = 0; kind < ONLINE_KINDS && status == KOL_OK; kind++) {
        status = write_kind(state, &env, (enum online_kind)kind, err);
    }
    if (status == KOL_OK) {
        int rc = mdb_env_sync(env.mdb, 1);
        status = rc ? online_env_fail(&env, rc, "sync", err) : KOL_OK;
    }
    online_env_free(&env);
    FAILPOINT("online.records");
    return status;
}
