/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

/* A prefix keeps our domains apart from those of GLib's own libraries. */
#define DOMAIN_PREFIX "virga:"

static GQuark
noun_quark(const char *noun)
{
    g_autofree char *domain = g_strconcat(DOMAIN_PREFIX, noun, NULL);
    return g_quark_from_string(domain);
}

bool
virga_fail(GError **error, const char *noun, VirgaErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error)
        *error = g_error_new_valist(noun_quark(noun), (int) code, format, args);
    va_end(args);
    return false;
}

bool
virga_fail_errno(GError **error, const char *noun, int errnum, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return virga_fail(error, noun, VIRGA_ERROR_INTERNAL, "%s: %s", text, g_strerror(errnum));
}

bool
virga_error_is_ours(const GError *error)
{
    return error && g_str_has_prefix(g_quark_to_string(error->domain), DOMAIN_PREFIX);
}

const char *
virga_error_noun(const GError *error)
{
    const char *domain = g_quark_to_string(error->domain);
    return virga_error_is_ours(error) ? domain + strlen(DOMAIN_PREFIX) : domain;
}

bool
virga_error_is(const GError *error, const char *noun, VirgaErrorCode code)
{
    return virga_error_is_ours(error) && error->code == (int) code &&
           (!noun || g_str_equal(virga_error_noun(error), noun));
}
