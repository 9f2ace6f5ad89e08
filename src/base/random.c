/*
 * random.c: the kernel's random bytes, UUIDs made of them, and a generator with a seed.
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

uint64_t random_mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void random_seed(struct random_stream *stream, const uint64_t *numbers, size_t count)
{
    KOL_ASSERT(count);
    uint64_t mixer = numbers[0];
    for (size_t i = 1; i < count; i++) {
        mixer = random_mix(&mixer) ^ numbers[i];
    }
    for (int i = 0; i < 4; i++) {
        stream->state[i] = random_mix(&mixer);
    }
}

static uint64_t rotate(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

uint64_t random_bits(struct random_stream *stream)
{
    uint64_t *s = stream->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t random_below(struct random_stream *stream, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)random_bits(stream) * bound >> 64);
}
