/* live_parts.h: what live.c and live_count.c share: the handle. Private to online/. */
#ifndef ONLINE_LIVE_PARTS_H
#define ONLINE_LIVE_PARTS_H

#include <sys/types.h>

#include "online/live.h"
#include "online/store.h"

struct live {
    struct store values;   /* DATA/live/live.mdb: every write is durable */
    struct store counters; /* DATA/live/counters-<boot>.mdb: never synced, gone with the machine */
    /* Who has it open; under the lock of the list in live.c. */
    dev_t device;
    ino_t inode;
    pid_t process;
    int users;
    struct live *next;
};

enum { LIVE_SWEEP_PER_WRITE = 4 }; /* expired values that one write removes by the way */

#endif
