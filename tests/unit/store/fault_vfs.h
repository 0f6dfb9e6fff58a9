// SPDX-License-Identifier: Apache-2.0
//
// An SQLite VFS (sqlite.org/vfs.html) over the default one, whose writes and syncs fail when a test says so.
#pragma once

#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

enum fault { FAULT_NONE, FAULT_FULL, FAULT_WRITE, FAULT_SYNC };

static _Atomic int fault_kind;
static _Atomic long fault_countdown; // the call that brings it to 0 fails
static _Atomic int fault_sticky;     // and all after it
static _Atomic long fault_fired, fault_main_syncs;

struct fault_file {
    sqlite3_file base;
    int is_main;
    sqlite3_file *real; // behind this struct
};

static sqlite3_vfs *fault_real_vfs;
static sqlite3_vfs fault_vfs;
static sqlite3_io_methods fault_methods;

static sqlite3_file *fault_real(sqlite3_file *file)
{
    return ((struct fault_file *)file)->real;
}

static int fault_hits(int is_sync)
{
    int kind = atomic_load(&fault_kind);
    if (kind == FAULT_NONE || is_sync != (kind == FAULT_SYNC))
        return 0;
    long left = atomic_fetch_sub(&fault_countdown, 1) - 1;
    if (left > 0 || (left < 0 && !atomic_load(&fault_sticky)))
        return 0;
    atomic_fetch_add(&fault_fired, 1);
    return 1;
}

static int fault_close(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xClose(fault_real(file));
}

static int fault_read(sqlite3_file *file, void *buffer, int len, sqlite3_int64 offset)
{
    return fault_real(file)->pMethods->xRead(fault_real(file), buffer, len, offset);
}

static int fault_write(sqlite3_file *file, const void *buffer, int len, sqlite3_int64 offset)
{
    if (fault_hits(0))
        return atomic_load(&fault_kind) == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return fault_real(file)->pMethods->xWrite(fault_real(file), buffer, len, offset);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return fault_real(file)->pMethods->xTruncate(fault_real(file), size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
    if (fault_hits(1))
        return SQLITE_IOERR_FSYNC;
    if (((struct fault_file *)file)->is_main)
        atomic_fetch_add(&fault_main_syncs, 1);
    return fault_real(file)->pMethods->xSync(fault_real(file), flags);
}

static int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return fault_real(file)->pMethods->xFileSize(fault_real(file), size);
}

static int fault_lock(sqlite3_file *file, int level)
{
    return fault_real(file)->pMethods->xLock(fault_real(file), level);
}

static int fault_unlock(sqlite3_file *file, int level)
{
    return fault_real(file)->pMethods->xUnlock(fault_real(file), level);
}

static int fault_check_lock(sqlite3_file *file, int *result)
{
    return fault_real(file)->pMethods->xCheckReservedLock(fault_real(file), result);
}

static int fault_control(sqlite3_file *file, int op, void *arg)
{
    return fault_real(file)->pMethods->xFileControl(fault_real(file), op, arg);
}

static int fault_sector(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xSectorSize(fault_real(file));
}

static int fault_characteristics(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xDeviceCharacteristics(fault_real(file));
}

static int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    return fault_real(file)->pMethods->xShmMap(fault_real(file), page, size, extend, ret);
}

static int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return fault_real(file)->pMethods->xShmLock(fault_real(file), offset, n, flags);
}

static void fault_shm_barrier(sqlite3_file *file)
{
    fault_real(file)->pMethods->xShmBarrier(fault_real(file));
}

static int fault_shm_unmap(sqlite3_file *file, int remove)
{
    return fault_real(file)->pMethods->xShmUnmap(fault_real(file), remove);
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    struct fault_file *self = (struct fault_file *)file;
    self->real = (sqlite3_file *)(self + 1);
    self->is_main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    int result = fault_real_vfs->xOpen(fault_real_vfs, name, self->real, flags, ret_flags);
    self->base.pMethods = self->real->pMethods ? &fault_methods : NULL;
    return result;
}

// Becomes the default of this process.
static void fault_install(void)
{
    fault_real_vfs = sqlite3_vfs_find(NULL);
    fault_vfs = *fault_real_vfs;
    fault_vfs.zName = "fault";
    fault_vfs.szOsFile = (int)sizeof(struct fault_file) + fault_real_vfs->szOsFile;
    fault_vfs.xOpen = fault_open;
    fault_methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = fault_close,
        .xRead = fault_read,
        .xWrite = fault_write,
        .xTruncate = fault_truncate,
        .xSync = fault_sync,
        .xFileSize = fault_size,
        .xLock = fault_lock,
        .xUnlock = fault_unlock,
        .xCheckReservedLock = fault_check_lock,
        .xFileControl = fault_control,
        .xSectorSize = fault_sector,
        .xDeviceCharacteristics = fault_characteristics,
        .xShmMap = fault_shm_map,
        .xShmLock = fault_shm_lock,
        .xShmBarrier = fault_shm_barrier,
        .xShmUnmap = fault_shm_unmap,
    };
    sqlite3_vfs_register(&fault_vfs, 1);
}

static void fault_set(enum fault kind, long countdown, int sticky)
{
    atomic_store(&fault_kind, FAULT_NONE);
    atomic_store(&fault_countdown, countdown);
    atomic_store(&fault_sticky, sticky);
    atomic_store(&fault_fired, 0);
    atomic_store(&fault_kind, kind);
}
