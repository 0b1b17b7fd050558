/* SPDX-License-Identifier: Apache-2.0 */
/* The one way in which Virga's functions fail.
 *
 * A GError whose domain is the noun that the failure is about ("instance", "volume", "database")
 * and whose code says what the caller can do.  The dialects translate the pair: api/errors.c turns
 * ("instance", NOT_FOUND) into EC2's InvalidInstanceID.NotFound.  Messages are lower case, without
 * a full stop, and quote ids; "could not" may work later, "cannot" never will. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
    VIRGA_ERROR_INVALID,     /* the input is wrong: change it */
    VIRGA_ERROR_NOT_FOUND,   /* the named object does not exist for this caller */
    VIRGA_ERROR_EXISTS,      /* the name is taken */
    VIRGA_ERROR_CONFLICT,    /* contradicts another request, e.g. a reused client token */
    VIRGA_ERROR_STATE,       /* the object's state does not allow it now */
    VIRGA_ERROR_IN_USE,      /* something else depends on the object */
    VIRGA_ERROR_QUOTA,       /* the account's limit is reached */
    VIRGA_ERROR_CAPACITY,    /* the cloud has no room */
    VIRGA_ERROR_DENIED,      /* the caller may not */
    VIRGA_ERROR_UNSUPPORTED, /* known, but this cloud does not do it */
    VIRGA_ERROR_RETRY,       /* lost a race or a connection: the same call may work now */
    VIRGA_ERROR_INTERNAL,    /* our own fault or the machine's */
} VirgaErrorCode;

/* Sets 'error' and returns false, so that a failing function can say "return virga_fail(...)".
 * 'noun' must be a string literal. */
bool virga_fail(GError **error, const char *noun, VirgaErrorCode code, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* As virga_fail(), with errno's text appended. */
bool virga_fail_errno(GError **error, const char *noun, int errnum, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* True if 'error' is ours, about 'noun' (NULL: any) with 'code'. */
bool virga_error_is(const GError *error, const char *noun, VirgaErrorCode code);

/* The noun of an error, a loan; foreign errors (GLib's) answer their own domain's name. */
const char *virga_error_noun(const GError *error);

/* True if 'error' was made by virga_fail(), so that its code is a VirgaErrorCode. */
bool virga_error_is_ours(const GError *error);
