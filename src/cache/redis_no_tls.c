/*
 * redis_no_tls.c: stands in for redis_tls.c where hiredis has no TLS (before 1.0): it refuses.
 */
#include <hiredis/hiredis.h>

#include "base/mem.h"
#include "cache/redis_parts.h"

#define TEXT_OF(number) #number
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

bool redis_speaks_tls(void)
{
    return false;
}

const char *redis_library(void)
{
    return VERSION_OF(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH) " without TLS";
}

enum kol_status redis_tls_new(const struct redis_options *options, struct redis_tls **out,
                              struct kol_error *err)
{
    (void)options;
    *out = NULL;
    return kol_fail(err, KOL_UNSUPPORTED,
                    "this build speaks no TLS to Redis (hiredis %s; it has it from 1.0 on): use "
                    "redis:// within a private network, unix://, or a TLS tunnel on this machine",
                    redis_library());
}

/* There is none, so that nothing below is reached with one. */
void redis_tls_free(struct redis_tls **tls)
{
    KOL_ASSERT(!*tls);
}

void redis_tls_end(struct redis_secure **secure)
{
    KOL_ASSERT(!*secure);
}

enum kol_status redis_tls_begin(const struct redis_tls *tls, const struct redis_options *options,
                                int fd, struct redis_secure **out, struct kol_error *err)
{
    (void)tls, (void)options, (void)fd, (void)out, (void)err;
    kol_panic("TLS begins, and there is none");
}

enum kol_status redis_tls_shake(struct redis_secure *secure, short *events, struct kol_error *err)
{
    (void)secure, (void)events, (void)err;
    kol_panic("TLS goes on, and there is none");
}

enum kol_status redis_tls_receive(struct redis_secure *secure, char *bytes, size_t room,
                                  size_t *count, struct kol_error *err)
{
    (void)secure, (void)bytes, (void)room, (void)count, (void)err;
    kol_panic("TLS receives, and there is none");
}

enum kol_status redis_tls_send(struct redis_secure *secure, struct str bytes, size_t *count,
                               struct kol_error *err)
{
    (void)secure, (void)bytes, (void)count, (void)err;
    kol_panic("TLS sends, and there is none");
}
