// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into a drayd without sanitizers: its MALLOC_FAILS_AT-th allocation answers that there is no memory.
// MALLOC_COUNTER is a file of 8 bytes that holds the number of allocations so far. glibc only: what is not failed goes to
// the allocator's own names.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static _Atomic uint64_t *counter;
static uint64_t fails_at;

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("MALLOC_COUNTER"), *number = getenv("MALLOC_FAILS_AT");
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    fails_at = number ? strtoull(number, NULL, 10) : 0;
    counter = map == MAP_FAILED ? NULL : map;
}

static int is_refused(void)
{
    if (!counter || atomic_fetch_add(counter, 1) + 1 != fails_at)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return is_refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __libc_realloc(old, size);
}
