// SPDX-License-Identifier: Apache-2.0
#include "store/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { RESERVE_BYTES = 8 << 20, RESERVE_RETRY_MS = 1000 };

static bool take(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (posix_fallocate(fd, 0, RESERVE_BYTES) == 0)
        return true;
    unlink(path); // part of it would help nobody
    return false;
}

void reserve_init(struct reserve *reserve, const char *directory)
{
    *reserve = (struct reserve){.path = mem_printf("%s/dray.reserve", directory)};
    reserve->held = take(reserve->path);
    reserve->tried_ms = clock_ms();
    if (!reserve->held)
        log_warning("store: no space for %s; new jobs are refused until there is", reserve->path);
}

void reserve_fini(struct reserve *reserve)
{
    mem_free_ptr(&reserve->path);
}

bool reserve_release(struct reserve *reserve)
{
    bool held = reserve->held;
    if (held)
        log_error("store: the disk is full; the reserve is given up for the jobs that are there, new ones "
                  "are refused");
    reserve->held = false;
    return unlink(reserve->path) == 0 && held;
}

void reserve_retake(struct reserve *reserve)
{
    int64_t now_ms = clock_ms();
    if (reserve->held || now_ms - reserve->tried_ms < RESERVE_RETRY_MS)
        return;
    reserve->tried_ms = now_ms;
    reserve->held = take(reserve->path);
    if (reserve->held)
        log_info("store: there is space again; new jobs are accepted");
}
