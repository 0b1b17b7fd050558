/* SPDX-License-Identifier: Apache-2.0 */
/* The operators of conditions. */
#include "policy-priv.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#define ARN_PARTS 6

/* ---- one value against one pattern ---- */

static bool
string_equals(const char *pattern, const char *value)
{
    return g_str_equal(pattern, value);
}

static bool
string_equals_ignore_case(const char *pattern, const char *value)
{
    g_autofree char *left = g_utf8_casefold(pattern, -1), *right = g_utf8_casefold(value, -1);

    return g_str_equal(left, right);
}

static bool
string_like(const char *pattern, const char *value)
{
    return policy_match(pattern, value, false);
}

static bool
read_number(const char *text, double *ret)
{
    char *end;

    *ret = g_ascii_strtod(text, &end);
    return end > text && !*end && isfinite(*ret);
}

/* "2026-01-02T03:04:05Z", "2026-01-02", or seconds since the epoch. */
static bool
read_date(const char *text, double *ret)
{
    g_autofree char *midnight = strchr(text, 'T') ? NULL : g_strconcat(text, "T00:00:00Z", NULL);
    g_autoptr(GTimeZone) utc = NULL;
    g_autoptr(GDateTime) time = NULL;

    if (read_number(text, ret))
        return true;
    utc = g_time_zone_new_utc();
    time = g_date_time_new_from_iso8601(midnight ? midnight : text, utc);
    if (!time)
        return false;
    *ret = (double) g_date_time_to_unix(time) + g_date_time_get_microsecond(time) / 1e6;
    return true;
}

/* The four orders of numbers and of dates.  What cannot be read fits nothing. */
#define COMPARE(name, read, order)                                                                 \
    static bool name(const char *pattern, const char *value)                                       \
    {                                                                                              \
        double right, left;                                                                        \
        return read(pattern, &right) && read(value, &left) && left order right;                    \
    }
COMPARE(number_equals, read_number, ==)
COMPARE(number_less, read_number, <)
COMPARE(number_less_equals, read_number, <=)
COMPARE(number_greater, read_number, >)
COMPARE(number_greater_equals, read_number, >=)
COMPARE(date_equals, read_date, ==)
COMPARE(date_less, read_date, <)
COMPARE(date_less_equals, read_date, <=)
COMPARE(date_greater, read_date, >)
COMPARE(date_greater_equals, read_date, >=)

static bool
bool_equals(const char *pattern, const char *value)
{
    return g_ascii_strcasecmp(pattern, value) == 0;
}

/* An address of either family as 16 bytes; IPv4 lies in ::ffff:0:0/96. */
static bool
read_address(const char *text, guint8 out[static 16])
{
    static const guint8 mapped[12] = { [10] = 0xff, [11] = 0xff };

    memcpy(out, mapped, sizeof mapped);
    return inet_pton(AF_INET, text, out + sizeof mapped) == 1 ||
           inet_pton(AF_INET6, text, out) == 1;
}

static bool
ip_in_range(const char *pattern, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(pattern, "/", 2);
    guint64 length, longest;
    guint8 range[16], address[16];
    bool is_v4;

    if (!parts[0] || !read_address(parts[0], range) || !read_address(value, address))
        return false;
    is_v4 = !strchr(parts[0], ':');
    longest = length = is_v4 ? 32 : 128;
    if (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 0, longest, &length, NULL))
        return false;
    if (is_v4)
        length += 96;
    for (guint64 bit = 0; bit < length; bit++)
        if ((range[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8))
            return false;
    return true;
}

/* Component by component: a wildcard does not reach over a colon, but in the last. */
static bool
arn_like(const char *pattern, const char *value)
{
    g_auto(GStrv) left = g_strsplit(pattern, ":", ARN_PARTS);
    g_auto(GStrv) right = g_strsplit(value, ":", ARN_PARTS);

    if (g_strv_length(left) != ARN_PARTS || g_strv_length(right) != ARN_PARTS)
        return pattern[0] == POLICY_ANY && !pattern[1];
    for (int i = 0; i < ARN_PARTS; i++)
        if (!policy_match(left[i], right[i], false))
            return false;
    return true;
}

static const PolicyOperator operators[] = {
    { "StringEquals", string_equals, .variables = true },
    { "StringNotEquals", string_equals, .negated = true, .variables = true },
    { "StringEqualsIgnoreCase", string_equals_ignore_case, .variables = true },
    { "StringNotEqualsIgnoreCase", string_equals_ignore_case, .negated = true, .variables = true },
    { "StringLike", string_like, .wild = true, .variables = true },
    { "StringNotLike", string_like, .negated = true, .wild = true, .variables = true },
    { "NumericEquals", number_equals },
    { "NumericNotEquals", number_equals, .negated = true },
    { "NumericLessThan", number_less },
    { "NumericLessThanEquals", number_less_equals },
    { "NumericGreaterThan", number_greater },
    { "NumericGreaterThanEquals", number_greater_equals },
    { "DateEquals", date_equals },
    { "DateNotEquals", date_equals, .negated = true },
    { "DateLessThan", date_less },
    { "DateLessThanEquals", date_less_equals },
    { "DateGreaterThan", date_greater },
    { "DateGreaterThanEquals", date_greater_equals },
    { "Bool", bool_equals },
    { "BinaryEquals", string_equals },
    { "IpAddress", ip_in_range },
    { "NotIpAddress", ip_in_range, .negated = true },
    { "ArnEquals", arn_like, .wild = true, .variables = true },
    { "ArnLike", arn_like, .wild = true, .variables = true },
    { "ArnNotEquals", arn_like, .negated = true, .wild = true, .variables = true },
    { "ArnNotLike", arn_like, .negated = true, .wild = true, .variables = true },
    { "Null", NULL },
};

const PolicyOperator *
policy_operator(const char *name, PolicySet *ret_set, bool *ret_if_exists)
{
    static const char all[] = "ForAllValues:", any[] = "ForAnyValue:", if_exists[] = "IfExists";
    size_t length;

    *ret_set = SET_NONE;
    if (g_ascii_strncasecmp(name, all, strlen(all)) == 0)
        *ret_set = SET_ALL;
    else if (g_ascii_strncasecmp(name, any, strlen(any)) == 0)
        *ret_set = SET_ANY;
    name += *ret_set == SET_ALL ? strlen(all) : *ret_set == SET_ANY ? strlen(any) : 0;
    length = strlen(name);
    *ret_if_exists = length > strlen(if_exists) &&
                     g_ascii_strcasecmp(name + length - strlen(if_exists), if_exists) == 0;
    if (*ret_if_exists)
        length -= strlen(if_exists);
    for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
        const PolicyOperator *found = &operators[i];

        if (strlen(found->name) == length && g_ascii_strncasecmp(found->name, name, length) == 0)
            return found->compare || (!*ret_if_exists && *ret_set == SET_NONE) ? found : NULL;
    }
    return NULL;
}

/* ---- a condition ---- */

static bool
fits_any(const PolicyCondition *condition, const char *value, const VirgaPolicyRequest *request,
         GString *buffer)
{
    for (size_t i = 0; i < condition->values.count; i++) {
        const char *pattern;

        if (policy_resolve(&condition->values.items[i], request, buffer, &pattern) &&
            condition->test->compare(pattern, value))
            return true;
    }
    return false;
}

/* "Null": "true" holds if the key is absent. */
static bool
null_holds(const PolicyCondition *condition, bool present)
{
    for (size_t i = 0; i < condition->values.count; i++)
        if (bool_equals(condition->values.items[i].text, present ? "false" : "true"))
            return true;
    return false;
}

bool
policy_condition_holds(const PolicyCondition *condition, const VirgaPolicyRequest *request)
{
    const char *const *values =
        request->key ? request->key(condition->key, request->key_data) : NULL;
    g_autoptr(GString) buffer = NULL;
    bool present = values && values[0], negated = condition->test->negated;

    if (!condition->test->compare)
        return null_holds(condition, present);
    if (!present)
        return condition->if_exists || condition->set == SET_ALL ||
               (negated && condition->set == SET_NONE);
    buffer = g_string_new(NULL);
    for (; *values; values++) {
        bool holds = fits_any(condition, *values, request, buffer) != negated;

        /* Of a key with several values, all must stay clear of what is negated. */
        if (condition->set == SET_ALL || (condition->set == SET_NONE && negated)) {
            if (!holds)
                return false;
        } else if (holds) {
            return true;
        }
    }
    return condition->set == SET_ALL || (condition->set == SET_NONE && negated);
}
