// SPDX-License-Identifier: Apache-2.0
//
// One layer: what was asked for (struct layer_spec, decoded from a job by `images`) and what came out.
// layer_pack walks the sources, writes one pax tar in sorted order, hashes it (diff_id), cuts it into blocks
// by rules that depend on the tree alone, compresses the blocks on all lanes, hashes the result (digest) and
// writes it to a sink. The bytes depend on the spec and the tree only: never on lanes, timing, machine,
// umask, locale, time zone or readdir order.
//
// Names in the tar have no leading "/" or "./"; a directory comes before what it holds, names of one
// directory in byte order, its whiteouts before its other names.
//
// Directories. Three kinds stand above an entry: those of a copied tree, the `to` of a copied directory, and
// implied parents that nothing in the spec describes. The first two get an entry by the rules of their source
// (the root "/" never does). An implied parent gets one only where `below` knows what to write: with the
// attributes that the directory has below, or 0755 0:0 where it is known to be absent (always so on
// `scratch`). Where nothing is known (or below->silent_parents is set) it gets none, because an entry would
// replace the attributes of a directory that may exist. So does any directory that exists below keep its
// attributes, unless a LAYER_DIRECTORY entry names it. A directory whose path is a symbolic link below is
// ERR_CONFLICT, unless a LAYER_DELETE entry removes the link.
//
// A `to` of exactly "/" takes the contents of a copied directory in; any other `to` with a trailing slash
// takes the source in under its own name. Members of tars land under `to` and follow the same rules of owner,
// mode and time. LAYER_DELETE hides what earlier entries of the same layer put there, too. A directory put by
// a later entry where an earlier one had something else, or deleted it, is new: it becomes opaque. Hard links
// within one source stay hard links.
#pragma once

#include "base/file.h"
#include "base/monitor.h"
#include "base/stream.h"
#include "layers/lanes.h"

enum layer_entry_type {
    LAYER_COPY,    // from: a file or directory beneath a build root
    LAYER_FILE,    // data/data_len
    LAYER_SYMLINK, // target
    LAYER_DIRECTORY,
    LAYER_DELETE,  // writes a whiteout for `to` (OCI image-spec layer.md "Whiteouts")
    LAYER_OPAQUE,  // writes an opaque whiteout in `to`
    LAYER_TAR,     // from: a tar beneath a build root, any compression, entries land under `to`
    LAYER_CONTEXT, // as LAYER_TAR, from an uploaded context: `context_reader` reads it
    LAYER_LAYER,   // an existing layer blob, for flattening: see below
};

enum layer_symlinks { LAYER_SYMLINKS_KEEP, LAYER_SYMLINKS_FOLLOW };

// LAYER_LAYER: context_reader reads the blob (any compression; verified by the caller), context is its
// digest, `to` is "/". Owner, mode, time and extended attributes stay as they are, devices and FIFOs too. Its
// whiteouts remove what earlier entries put, and are written out themselves, for what lies below, unless the
// spec says drop_whiteouts. Several of them, lowest first, make one layer of many.
//
// All texts owned by the spec; NULL where not given.
struct layer_entry {
    enum layer_entry_type type;
    char *from;
    char *to;      // absolute path in the image; a trailing slash takes the source in under its own name
    char *pointer; // JSON pointer of this entry in the request, for problems
    void *data;    // LAYER_FILE
    size_t data_len;
    char *target; // LAYER_SYMLINK
    struct digest context;
    struct reader_at *context_reader; // borrowed, LAYER_CONTEXT
    char **exclude;                   // patterns of the job, .dockerignore semantics
    size_t n_exclude;
    char **ignore_files; // names of ignore files read in every directory
    size_t n_ignore_files;
    char **xattrs; // names of extended attributes to keep
    size_t n_xattrs;
    enum layer_symlinks symlinks;
    int64_t uid, gid; // 0 unless `owner` said otherwise
    char *mode;       // "normal" (NULL), "keep", octal or symbolic; checked by layer_mode_check
    bool has_mtime;
    int64_t mtime_s;
};

enum layer_algorithm { LAYER_GZIP, LAYER_ZSTD, LAYER_NONE, LAYER_ESTARGZ };
enum { LAYER_LEVEL_FAST = -1, LAYER_LEVEL_SMALL = -2 }; // gzip; zstd uses 1…19

// What is known of the file tree below this layer. Borrowed; called on the worker that packs.
enum layer_below_kind {
    LAYER_BELOW_UNKNOWN,
    LAYER_BELOW_ABSENT,
    LAYER_BELOW_DIRECTORY,
    LAYER_BELOW_SYMLINK,
    LAYER_BELOW_OTHER
};
struct layer_below_node {
    uint32_t mode; // of a directory: permission bits, owner and time that it keeps
    int64_t uid, gid, mtime_s;
    const char *target; // of a symbolic link, borrowed
};
struct layer_below {
    // path is relative, "usr/lib"; ret is filled for directories and links.
    enum layer_below_kind (*lookup)(const struct layer_below *below, const char *path,
                                    struct layer_below_node *ret);
    // Implied parents get no entry: the bytes are those of a layer that knows nothing, as long as no copied
    // directory meets one below.
    bool silent_parents;
};

// A blob that an earlier layer_pack of the same engine made, and the index that it gave for it: unchanged
// blocks are taken from there instead of being compressed again. What is taken is checked; the result is the
// same with and without.
struct layer_earlier {
    struct reader_at *blob; // borrowed, as long as the pack runs
    const void *index;
    size_t index_len;
    bool *differs; // set before the first bytes that are not from there are written out; NULL: nobody asks
};

// `split: "auto"` (layers/split.h): a layer may be packed as two, dependencies below the application. Every
// path is in exactly one of them; directories above both are in both, alike. Whiteouts are in the lower one.
enum layer_part { LAYER_WHOLE, LAYER_DEPENDENCIES, LAYER_APPLICATION, LAYER_PARTS };

struct layer_spec {
    struct layer_entry *entries;
    size_t n_entries;
    enum layer_algorithm algorithm;
    int level;                           // LAYER_LEVEL_* or 1…19; 0 is LAYER_LEVEL_FAST
    int64_t mtime_s;                     // the one time stamp of every entry without its own
    const struct layer_below *below;     // borrowed; NULL: nothing is known
    const struct layer_earlier *earlier; // borrowed; NULL: none
    bool drop_whiteouts;                 // nothing lies below this layer
    enum layer_part part;                // what of it is packed and fingerprinted
    bool index_blocks;                   // ask for layer_result.index
    int spool_dirfd; // borrowed: for members of tar sources and eStargz tables; 0: $TMPDIR or /var/tmp
};

struct layer_caller { // whose permission counts when the daemon has more rights than its caller
    bool apply;
    uint32_t uid, gid;
};

struct layer_result {
    struct digest digest;  // of the compressed bytes
    struct digest diff_id; // of the tar
    int64_t size;          // compressed bytes
    int64_t tar_size;
    int64_t files;    // entries written
    char *toc_digest; // eStargz, else NULL
    struct digest
        fingerprint; // of what was really read: the key under which to remember the layer, if it is stable
    bool stable;     // see layer_fingerprint
    void *index; // of the blob's blocks, for layer_earlier, to be kept in the daemon's own state; NULL if not
    size_t index_len; // asked for, or of too many blocks
    int64_t blocks, blocks_reused;
};
void layer_result_clear(struct layer_result *result);

void layer_spec_clear(struct layer_spec *spec);
// "normal", "keep", octal up to 07777, or symbolic as chmod(1). ERR_INVALID_REQUEST.
int layer_mode_check(const char *mode, struct error *err);
// Is `to` a path that an image may have: absolute, no "..", no NUL, UTF-8, ≤ 4096 bytes, no component that
// begins `.wh.`.
int layer_path_check(const char *path, struct error *err);
// What an entry alone can tell: its path, patterns, names of ignore files and attributes. *ret_member: the
// one at fault.
int layer_entry_check(const struct layer_entry *entry, const char **ret_member, struct error *err);

// Blocks; one worker. Everything is written to `out` (finish is left to the caller). monitor->current counts
// tar bytes. Errors: ERR_PATH_NOT_FOUND, ERR_PATH_NOT_ALLOWED, ERR_UNSUPPORTED_FILE (path and kind named),
// ERR_SOURCE_CHANGED (path named), ERR_NO_SPACE, ERR_CANCELLED, ERR_FORBIDDEN (unreadable for the caller).
int layer_pack(const struct layer_spec *spec, const struct roots *roots, const struct layer_caller *caller,
               struct lanes *lanes, struct sink *out, struct monitor *monitor, struct layer_result *ret,
               struct error *err);

// The input fingerprint: a hash over path, type, mode, owner, size, mtime, ctime, inode of everything the
// spec names and over all rules, engine and version included, as git's index does. *ret_stable is false if
// any file's time stamp is too young to be trusted ("racy git"): the result of such a pack must not be
// remembered. Blocks.
int layer_fingerprint(const struct layer_spec *spec, const struct roots *roots,
                      const struct layer_caller *caller, struct monitor *monitor, struct digest *ret,
                      bool *ret_stable, struct error *err);
// One walk for the whole and both parts: what a job with `split: "auto"` asks instead of three fingerprints.
// Then, where `splits` is set, LAYER_DEPENDENCIES and LAYER_APPLICATION are packed as two layers, in this
// order, else LAYER_WHOLE as one. Specs with tar sources never split. Errors as layer_pack. Blocks.
struct layer_survey {
    struct digest fingerprint[LAYER_PARTS]; // as layer_fingerprint of a spec of that part
    bool stable[LAYER_PARTS];
    int64_t files[LAYER_PARTS]; // that are no directories
    int64_t bytes[LAYER_PARTS]; // of their contents
    int64_t changed[LAYER_PARTS]; // of the files: of those on disk whose state is from since_ms or later
    bool splits;                // both parts have files
};
// since_ms: Unix time in milliseconds, of what was made before; 0: nothing was.
int layer_survey(const struct layer_spec *spec, const struct roots *roots, const struct layer_caller *caller,
                 int64_t since_ms, struct monitor *monitor, struct layer_survey *ret, struct error *err);
// To be remembered is always layer_result.fingerprint, which layer_pack took of what it read: a file that
// came between the two steps would otherwise be in a layer that is found again without it. The same tar in
// another compression: diff_id stays. For LAYER_ESTARGZ make a spec with a LAYER_LAYER entry instead.
// ERR_UNSUPPORTED_FILE if the blob is damaged, ERR_TOO_LARGE beyond the limits of layers/unpack.h. Blocks.
int layer_recompress(struct reader_at *blob, enum layer_algorithm algorithm, int level, const char *shown,
                     struct lanes *lanes, struct sink *out, struct monitor *monitor, struct layer_result *ret,
                     struct error *err);
// The name under which a later build of the same project finds the blob and index of this one, for
// layer_earlier: a hash over sources, rules, engine and caller, but over no content, time or state of a file.
void layer_lineage(const struct layer_spec *spec, const struct layer_caller *caller, struct digest *ret);
// Name and version of the engine that makes the bytes, part of every cache key: "isal-2.30.0/b1" …
const char *layer_engine(const struct layer_spec *spec);
