/*
 * ring_private.h - what the files of this folder share: raw back-ends and the helper thread.
 * Thread: as each function says.
 */
#ifndef MR_RING_PRIVATE_H
#define MR_RING_PRIVATE_H

#include "io/ring/ring.h"
#include <stddef.h>

/* Top bit of a raw tag: a watch, not a request. */
#define MR_RING_WATCH_BIT (UINT64_C(1) << 63)

/* ---- Raw back-ends; the returned self is closed by the type's `close` ---- */

MR_MUST_USE mr_status mr_ring_uring_open(mr_io *io, mr_diag *diag);
MR_MUST_USE mr_status mr_ring_threads_open(mr_io *io, mr_diag *diag);

/* ---- file.c ---- */

const mr_file_type *mr_file_system(void);
/* Makes the folder (0700) if `create`; refuses links, other owners and open permissions. */
MR_MUST_USE mr_status mr_file_folder_check(const char *path, bool create, mr_diag *diag);
/* MR_ERR_FULL for an errno that says there is no room, else MR_ERR_IO. */
mr_status mr_file_space(int error);
/* Removed at once, O_DIRECT if `direct`; -1 = not possible, errno says why. */
int mr_file_probe_open(const char *folder, bool direct);

/* ---- probe.c ---- */

/* A write, a durable write, a sync and a read-back through the raw type in a file of `folder`. */
MR_MUST_USE mr_status mr_ring_probe(const mr_io_raw_type *raw, void *self, const char *folder,
                                    bool direct, mr_diag *diag);

/* ---- helper.c: file jobs ---- */

typedef struct mr_ring_helper mr_ring_helper;

MR_MUST_USE mr_status mr_ring_helper_open(mr_ring_helper **helper, const mr_io *io, mr_diag *diag);
/* Ends when the job under way is done; the others are dropped. NULL is allowed. */
void mr_ring_helper_close(mr_ring_helper *helper);
/* Becomes readable when a job is done; -1 = jobs are done when they are posted. */
int mr_ring_helper_descriptor(const mr_ring_helper *helper);
/* At most MR_FILE_JOBS_MAX at a time, which the caller counts. */
void mr_ring_helper_post(mr_ring_helper *helper, const mr_file_job *job);
/* Its descriptor was seen readable: call this, then reap. */
void mr_ring_helper_clear(mr_ring_helper *helper);
bool mr_ring_helper_reap(mr_ring_helper *helper, mr_io_completion *completion);

#endif
