/* SPDX-License-Identifier: Apache-2.0 */
/* Looks whether files that never change are still what they were: slowly, and past the page cache,
 * which would tell what was written and not what is there. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    gint64 bytes_per_s;
    bool (*go_on)(gpointer data); /* asked again and again; false ends the look */
    gpointer data;
} VirgaScrubPace;

/* The calling thread gives way to all others, for processor and disk. */
void virga_scrub_be_humble(void);

/* The SHA-256 of a file's bytes, in hex.  Noun "file": NOT_FOUND, STATE when it was to end,
 * INTERNAL when it cannot be read. */
bool virga_scrub_read(const char *path, const VirgaScrubPace *pace, char hex[static 65],
                      GError **error);

/* ---- a directory of base images ----
 *
 * Beside ID.qcow2, ID.sum has the checksum from when it was first looked at, and when that was
 * last; a file that was made anew has another inode and is first looked at again.  ID.damaged is
 * there as long as a file that was found to be damaged is. */

typedef enum { VIRGA_SCRUB_IDLE, VIRGA_SCRUB_SOUND, VIRGA_SCRUB_DAMAGED } VirgaScrubOutcome;

/* Looks at the one that was not looked at for the longest time, if that is 'age_s' or more.  IDLE:
 * there is none.  *ret_id is the caller's.  Fails as above. */
bool virga_scrub_next(const char *directory, gint64 age_s, const VirgaScrubPace *pace,
                      VirgaScrubOutcome *ret_outcome, char **ret_id, GError **error);

/* What is known of a file that is gone. */
void virga_scrub_forget(const char *directory, const char *id);

bool virga_scrub_is_damaged(const char *directory, const char *id);
/* All that are; the caller's, NULL-terminated.  Forgets those that have gone. */
char **virga_scrub_damaged(const char *directory);
