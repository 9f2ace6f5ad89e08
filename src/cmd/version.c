/* version.c: `kol version`: the build, and the libraries as they are loaded now. */
#include <duckdb.h>
#include <jansson.h>
#include <lmdb.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include "cache/redis.h"
#include "cmd/command.h"
#include "version.h"

static void put_row(struct rows *rows, const char *part, const char *version)
{
    rows_text(rows, str_of(part));
    rows_text(rows, str_of(version));
}

enum kol_status cmd_version(const struct invocation *call, struct kol_error *err)
{
    static const char *const names[] = {"part", "version"};
    char xxhash[32];
    unsigned number = XXH_versionNumber();
    snprintf(xxhash, sizeof xxhash, "%u.%u.%u", number / 10000, number / 100 % 100, number % 100);
    struct rows *rows = rows_begin(stdout, call->format, names, 2);
    put_row(rows, "kol", KOL_VERSION);
    put_row(rows, "commit", KOL_COMMIT);
    put_row(rows, "compiler", __VERSION__);
    put_row(rows, "duckdb", duckdb_library_version());
    put_row(rows, "hiredis", redis_library());
    put_row(rows, "jansson", jansson_version_str());
    put_row(rows, "lmdb", mdb_version(NULL, NULL, NULL));
    put_row(rows, "xxhash", xxhash);
    put_row(rows, "zlib", zlibVersion());
    put_row(rows, "zstd", ZSTD_versionString());
    return rows_end(&rows, err);
}
