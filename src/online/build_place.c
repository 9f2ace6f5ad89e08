/*
 * build_place.c: where lists.duckdb is while it is made.
 *
 * In the folder of the copy, but for a path with a '?' in it: DuckDB takes what stands before the
 * first one for the name of a database and keeps the journal beside that, in a folder that nobody
 * has. It looks through links, so that nothing but another place helps: the file is then made in
 * $TMPDIR and moved when it is whole. To read it, it needs no journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "online/build.h"

static const char file_name[] = "lists.duckdb";

static enum kol_status make_elsewhere(struct online_build_state *state, struct kol_error *err)
{
    const char *temp = getenv("TMPDIR");
    char *folder = file_join(temp && *temp ? temp : "/tmp", "kol-online-XXXXXX");
    enum kol_status status = KOL_OK;
    if (strchr(folder, '?')) {
        status = kol_fail(err, KOL_UNSUPPORTED,
                          "%s: the engine cannot make a database under a path with a '?'; set "
                          "TMPDIR to a folder without one, or give the data folder another name",
                          folder);
    } else if (!mkdtemp(folder)) {
        status = kol_fail_errno(err, errno, "%s: cannot make the folder", folder);
    }
    if (status == KOL_OK) {
        state->elsewhere = folder;
    } else {
        free(folder);
    }
    return status;
}

enum kol_status online_build_attach(struct online_build_state *state, struct kol_error *err)
{
    enum kol_status status = strchr(state->folder, '?') ? make_elsewhere(state, err) : KOL_OK;
    if (status != KOL_OK) {
        return status;
    }
    struct buf sql = {0};
    char *path = file_join(state->elsewhere ? state->elsewhere : state->folder, file_name);
    buf_puts(&sql, "ATTACH ");
    engine_quote_text(&sql, str_of(path));
    buf_puts(&sql, " AS copy");
    status = engine_exec(state->input->session, sql.ptr, err);
    buf_free(&sql);
    free(path);
    return status;
}

static enum kol_status copy_bytes(int from, int to, const char *path, struct kol_error *err)
{
    enum { BLOCK = 1 << 20 };
    char *block = mem_alloc(BLOCK);
    ssize_t got = 0, put = 0;
    while ((got = read(from, block, BLOCK)) > 0) {
        for (ssize_t done = 0; done < got; done += put) {
            put = write(to, block + done, (size_t)(got - done));
            if (put < 0) {
                goto out;
            }
        }
    }
out:
    free(block);
    return got < 0 || put < 0 || fsync(to) != 0
               ? kol_fail_errno(err, errno, "%s: cannot copy into it", path)
               : KOL_OK;
}

static enum kol_status move_file(const char *from, const char *to, struct kol_error *err)
{
    if (rename(from, to) == 0) {
        return KOL_OK;
    }
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    enum kol_status status = in < 0    ? kol_fail_errno(err, errno, "%s: cannot open", from)
                             : out < 0 ? kol_fail_errno(err, errno, "%s: cannot create", to)
                                       : copy_bytes(in, out, to, err);
    if (in >= 0) {
        close(in);
    }
    if (out >= 0) {
        close(out);
    }
    return status;
}

static void remove_elsewhere(struct online_build_state *state)
{
    if (state->elsewhere) {
        online_remove_tree(state->elsewhere);
        free(state->elsewhere);
        state->elsewhere = NULL;
    }
}

enum kol_status online_build_detach(struct online_build_state *state, struct kol_error *err)
{
    enum kol_status status =
        engine_exec(state->input->session, "CHECKPOINT copy; DETACH copy", err);
    if (status == KOL_OK && state->elsewhere) {
        char *from = file_join(state->elsewhere, file_name);
        char *to = file_join(state->folder, file_name);
        status = move_file(from, to, err);
        free(from);
        free(to);
    }
    remove_elsewhere(state);
    return status;
}

void online_build_give_up(struct online_build_state *state)
{
    /* The reason is the failure before; the session is closed soon. */
    enum kol_status status =
        engine_exec(state->input->session, "DETACH DATABASE IF EXISTS copy", NULL);
    (void)status;
    remove_elsewhere(state);
}
