/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars of the AWS protocols: spelling, ranges, times. */
#include "scalar.h"
#include "api/errors.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define US_PER_DAY (G_GINT64_CONSTANT(86400) * G_USEC_PER_SEC)

static bool
refuse(const char *name, const char *text, const char *why, GError **error)
{
    return virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.200s) for parameter %s is invalid. %s", text, name, why);
}

static bool
check_enum(const VirgaWireShape *shape, const char *name, const char *text, GError **error)
{
    g_autofree char *valid = NULL;
    g_autofree char *why = NULL;

    for (const char *const *value = shape->values; *value; value++) {
        if (g_str_equal(*value, text))
            return true;
    }
    valid = g_strjoinv(", ", (char **) shape->values);
    why = g_strdup_printf("Valid values: %.2000s", valid);
    return refuse(name, text, why, error);
}

static bool
parse_string(VirgaArena *arena, const VirgaWireShape *shape, const char *name, const char *text,
             const char **out, GError **error)
{
    if (shape->values && !check_enum(shape, name, text, error))
        return false;
    if (shape->has_min || shape->has_max) {
        gint64 characters = g_utf8_strlen(text, -1);

        if (shape->has_min && characters < shape->min)
            return refuse(name, text, "It is too short.", error);
        if (shape->has_max && characters > shape->max)
            return refuse(name, text, "It is too long.", error);
    }
    *out = virga_arena_strdup(arena, text);
    return true;
}

static bool
parse_integer(const VirgaWireShape *shape, const char *name, const char *text, gint64 *out,
              GError **error)
{
    bool is_long = shape->type == VIRGA_WIRE_LONG;
    gint64 low = is_long ? G_MININT64 : G_MININT32, high = is_long ? G_MAXINT64 : G_MAXINT32;
    g_autoptr(GError) local = NULL;
    g_autofree char *why = NULL;

    if (!g_ascii_string_to_signed(text, 10, low, high, out, &local))
        return refuse(name, text, "It must be an integer.", error);
    if (shape->has_min && *out < shape->min)
        why = g_strdup_printf("Expecting a value greater than or equal to %" G_GINT64_FORMAT ".",
                              shape->min);
    else if (shape->has_max && *out > shape->max)
        why = g_strdup_printf("Expecting a value less than or equal to %" G_GINT64_FORMAT ".",
                              shape->max);
    return !why || refuse(name, text, why, error);
}

static bool
parse_double(const VirgaWireShape *shape, const char *name, const char *text, double *out,
             GError **error)
{
    char *end = NULL;

    errno = 0;
    *out = g_ascii_strtod(text, &end);
    if (!*text || *end || g_ascii_isspace(*text) || errno || !isfinite(*out))
        return refuse(name, text, "It must be a number.", error);
    if ((shape->has_min && *out < (double) shape->min) ||
        (shape->has_max && *out > (double) shape->max))
        return refuse(name, text, "It is out of range.", error);
    return true;
}

static bool
parse_boolean(const char *name, const char *text, bool *out, GError **error)
{
    *out = g_ascii_strcasecmp(text, "true") == 0 || g_str_equal(text, "1");
    if (*out || g_ascii_strcasecmp(text, "false") == 0 || g_str_equal(text, "0"))
        return true;
    return refuse(name, text, "It must be true or false.", error);
}

static bool
parse_time(const char *name, const char *text, gint64 *out, GError **error)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autofree char *midnight = strchr(text, 'T') ? NULL : g_strconcat(text, "T00:00:00Z", NULL);
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(midnight ? midnight : text, utc);

    if (!time)
        return refuse(name, text, "It must be a time such as 2026-01-02T03:04:05Z.", error);
    *out = g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
    return true;
}

static bool
is_base64(const char *text, gsize length)
{
    gsize padding = 0;

    while (padding < 2 && padding < length && text[length - padding - 1] == '=')
        padding++;
    for (gsize i = 0; i < length - padding; i++) {
        if (!g_ascii_isalnum(text[i]) && text[i] != '+' && text[i] != '/')
            return false;
    }
    return length % 4 == 0;
}

static bool
parse_blob(VirgaArena *arena, const char *name, const char *text, VirgaWireBlob *out,
           GError **error)
{
    char *copy = virga_arena_strdup(arena, text);

    if (!is_base64(copy, strlen(copy)))
        return refuse(name, text, "It must be base64.", error);
    out->data = (const guint8 *) copy;
    out->length = 0;
    if (*copy)
        g_base64_decode_inplace(copy, &out->length);
    return true;
}

bool
virga_wire_scalar_parse(VirgaArena *arena, const VirgaWireShape *shape, const char *name,
                        const char *text, void *out, GError **error)
{
    switch (shape->type) {
    case VIRGA_WIRE_STRING:
        return parse_string(arena, shape, name, text, out, error);
    case VIRGA_WIRE_INTEGER:
    case VIRGA_WIRE_LONG:
        return parse_integer(shape, name, text, out, error);
    case VIRGA_WIRE_DOUBLE:
        return parse_double(shape, name, text, out, error);
    case VIRGA_WIRE_BOOLEAN:
        return parse_boolean(name, text, out, error);
    case VIRGA_WIRE_TIMESTAMP:
        return parse_time(name, text, out, error);
    case VIRGA_WIRE_BLOB:
        return parse_blob(arena, name, text, out, error);
    case VIRGA_WIRE_STRUCT:
    case VIRGA_WIRE_LIST:
        break;
    }
    g_assert_not_reached();
}

/* Writes 'value' with at least 'digits' digits and returns the end. */
static char *
put_number(char *out, guint64 value, int digits)
{
    char reversed[24];
    int count = 0;

    for (; value || count < digits; value /= 10)
        reversed[count++] = (char) ('0' + value % 10);
    while (count)
        *out++ = reversed[--count];
    return out;
}

/* A count of days since 1970 to a date of the Gregorian calendar, which repeats every 400 years
 * (146097 days).  Years are counted from March, so that the leap day is the last of its year. */
static void
civil_date(gint64 days, int *year, int *month, int *day)
{
    gint64 shifted = days + 719468;
    gint64 era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    gint64 of_era = shifted - era * 146097;
    gint64 year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    gint64 of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    gint64 from_march = (5 * of_year + 2) / 153;

    *day = (int) (of_year - (153 * from_march + 2) / 5 + 1);
    *month = (int) (from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int) (year_of_era + era * 400 + (*month <= 2));
}

static void
put_time(gint64 time_us, char buffer[static VIRGA_WIRE_TEXT_SIZE])
{
    /* Years 0001 to 9999: what the format can say. */
    gint64 time = CLAMP(time_us, -719162 * US_PER_DAY, 2932897 * US_PER_DAY - 1);
    gint64 days = time / US_PER_DAY - (time % US_PER_DAY < 0);
    gint64 ms = (time - days * US_PER_DAY) / 1000;
    int year, month, day;
    char *out = buffer;

    civil_date(days, &year, &month, &day);
    out = put_number(out, (guint64) year, 4);
    *out++ = '-';
    out = put_number(out, (guint64) month, 2);
    *out++ = '-';
    out = put_number(out, (guint64) day, 2);
    *out++ = 'T';
    out = put_number(out, (guint64) (ms / 3600000), 2);
    *out++ = ':';
    out = put_number(out, (guint64) (ms / 60000 % 60), 2);
    *out++ = ':';
    out = put_number(out, (guint64) (ms / 1000 % 60), 2);
    *out++ = '.';
    out = put_number(out, (guint64) (ms % 1000), 3);
    *out++ = 'Z';
    *out = '\0';
}

static const char *
put_integer(gint64 value, char buffer[static VIRGA_WIRE_TEXT_SIZE])
{
    char *out = buffer;

    if (value < 0)
        *out++ = '-';
    out = put_number(out, value < 0 ? 0 - (guint64) value : (guint64) value, 1);
    *out = '\0';
    return buffer;
}

const char *
virga_wire_scalar_text(VirgaWireType type, const void *value,
                       char buffer[static VIRGA_WIRE_TEXT_SIZE])
{
    switch (type) {
    case VIRGA_WIRE_STRING:
        return *(const char *const *) value;
    case VIRGA_WIRE_INTEGER:
    case VIRGA_WIRE_LONG:
        return put_integer(*(const gint64 *) value, buffer);
    case VIRGA_WIRE_DOUBLE:
        return g_ascii_formatd(buffer, VIRGA_WIRE_TEXT_SIZE, "%.15g", *(const double *) value);
    case VIRGA_WIRE_BOOLEAN:
        return *(const bool *) value ? "true" : "false";
    case VIRGA_WIRE_TIMESTAMP:
        if (*(const gint64 *) value == 0)
            return NULL;
        put_time(*(const gint64 *) value, buffer);
        return buffer;
    case VIRGA_WIRE_BLOB:
    case VIRGA_WIRE_STRUCT:
    case VIRGA_WIRE_LIST:
        break;
    }
    return NULL;
}

void
virga_wire_append_time(GString *out, gint64 time_us)
{
    char buffer[VIRGA_WIRE_TEXT_SIZE];

    put_time(time_us, buffer);
    g_string_append(out, buffer);
}
