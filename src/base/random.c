/*
 * random.c: the kernel's random bytes, and UUIDs made of them.
 */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

#include "base/mem.h"

void random_fill(void *out, size_t len)
{
    unsigned char *to = out;
    while (len) {
        ssize_t got = getrandom(to, len, 0);
        KOL_ASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            to += got;
            len -= (size_t)got;
        }
    }
}

void random_put_uuid(struct buf *out)
{
    unsigned char b[16];
    random_fill(b, sizeof b);
    b[6] = (unsigned char)(0x40 | (b[6] & 0x0f)); /* version 4: random */
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f)); /* variant of RFC 9562 */
    for (size_t i = 0; i < sizeof b; i++) {
        buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    }
}
