/* SPDX-License-Identifier: Apache-2.0 */
/* From our errors to AWS's.
 *
 * Domain functions fail with a noun and a VirgaErrorCode (core/error.h); one table in api/errors.c
 * says what the AWS dialect calls that.  Where AWS has a code that no noun can carry
 * (InvalidInstanceID.Malformed), a handler fails with virga_api_fail() and the code goes out as it
 * is. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Fails with AWS's own 'code' and HTTP 'status'; the message is for the client, as AWS words it.
 * 'code' must come from a bounded set: it is interned.  Returns false. */
bool virga_api_fail(GError **error, const char *code, unsigned status, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* True if 'error' was made by virga_api_fail() with 'code'. */
bool virga_api_error_is(const GError *error, const char *code);

/* What the client is told.  Loans: valid as long as the error. */
typedef struct {
    const char *code;
    unsigned status;
    const char *message;
    bool hidden; /* the details are not for the client: log them */
} VirgaApiError;

VirgaApiError virga_api_error(const GError *error);

/* True if 'value' is an id with 'prefix' ("i"); otherwise fails with 'code'
 * ("InvalidInstanceID.Malformed") and 400. */
bool virga_api_check_id(const char *value, const char *prefix, const char *code, GError **error);
