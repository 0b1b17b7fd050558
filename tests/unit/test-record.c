/* SPDX-License-Identifier: Apache-2.0 */
#include "core/record.h"

#include "core/error.h"
#include "core/json.h"

#include <string.h>

typedef struct Thing Thing;
struct Thing {
    char *name, *note;
    char **words;
    bool good;
    gint64 size;
    GPtrArray *things;
};

static const VirgaRecordType thing_type;
static const VirgaField thing_fields[] = {
    { "name", VIRGA_FIELD_STRING, offsetof(Thing, name), true, NULL },
    { "note", VIRGA_FIELD_STRING, offsetof(Thing, note), false, NULL },
    { "words", VIRGA_FIELD_STRINGS, offsetof(Thing, words), false, NULL },
    { "good", VIRGA_FIELD_BOOL, offsetof(Thing, good), false, NULL },
    { "size", VIRGA_FIELD_INTEGER, offsetof(Thing, size), false, NULL },
    { "things", VIRGA_FIELD_RECORDS, offsetof(Thing, things), false, &thing_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType thing_type = { "thing", sizeof(Thing), thing_fields };

static void
test_round_trip(void)
{
    const char *text = "{\"name\":\"a \\\"quote\\\", \\\\ and \\u00e9\",\"words\":[\"\",\"b,c\"],"
                       "\"good\":true,\"size\":-9007199254740993,"
                       "\"things\":[{\"name\":\"inner\",\"words\":[],\"good\":false,\"size\":0,"
                       "\"things\":[]}]}";
    g_autoptr(GError) error = NULL;
    Thing *thing = virga_record_from_text(&thing_type, text, &error);
    g_autofree char *first = NULL, *second = NULL;
    Thing *again;

    g_assert_no_error(error);
    g_assert_cmpstr(thing->name, ==, "a \"quote\", \\ and \u00e9");
    g_assert_null(thing->note);
    g_assert_cmpstr(thing->words[1], ==, "b,c");
    g_assert_true(thing->good);
    g_assert_cmpint(thing->size, ==, G_GINT64_CONSTANT(-9007199254740993));
    g_assert_cmpstr(((Thing *) thing->things->pdata[0])->name, ==, "inner");
    first = virga_record_to_text(&thing_type, thing);
    again = virga_record_from_text(&thing_type, first, &error);
    g_assert_no_error(error);
    second = virga_record_to_text(&thing_type, again);
    g_assert_cmpstr(first, ==, second);
    virga_record_free(&thing_type, thing);
    virga_record_free(&thing_type, again);
}

static void
test_new(void)
{
    Thing *thing = virga_record_new(&thing_type);
    g_autofree char *text = NULL;

    g_assert_cmpuint(thing->things->len, ==, 0);
    g_assert_null(thing->name);
    text = virga_record_to_text(&thing_type, thing);
    g_assert_cmpstr(text, ==, "{\"words\":[],\"good\":false,\"size\":0,\"things\":[]}");
    virga_record_free(&thing_type, thing);
    virga_record_free(&thing_type, NULL);
}

/* Text, and what the refusal must name. */
static const char *const refused[][2] = {
    { "", "no JSON" },
    { "{", "not JSON" },
    { "null", "object" },
    { "[]", "object" },
    { "3", "object" },
    { "{}", "\"name\"" },
    { "{\"name\":null}", "\"name\"" },
    { "{\"name\":3}", "\"name\"" },
    { "{\"name\":[\"x\"]}", "\"name\"" },
    { "{\"name\":\"x\",\"words\":\"y\"}", "\"words\"" },
    { "{\"name\":\"x\",\"words\":[1]}", "\"words\"" },
    { "{\"name\":\"x\",\"words\":[null]}", "\"words\"" },
    { "{\"name\":\"x\",\"good\":1}", "\"good\"" },
    { "{\"name\":\"x\",\"good\":\"true\"}", "\"good\"" },
    { "{\"name\":\"x\",\"size\":1.5}", "\"size\"" },
    { "{\"name\":\"x\",\"size\":\"1\"}", "\"size\"" },
    { "{\"name\":\"x\",\"things\":{}}", "\"things\"" },
    { "{\"name\":\"x\",\"things\":[{}]}", "\"name\"" },
    { "{\"name\":\"x\",\"things\":[{\"name\":\"y\"},null]}", "object" },
};

static void
test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(virga_record_from_text(&thing_type, refused[i][0], &error));
        g_assert_true(virga_error_is(error, "thing", VIRGA_ERROR_INVALID));
        if (!strstr(error->message, refused[i][1]))
            g_error("%s: \"%s\"", refused[i][0], error->message);
    }
}

/* Absent, null and unknown members of a newer or older peer. */
static void
test_lenient(void)
{
    g_autoptr(GError) error = NULL;
    Thing *thing = virga_record_from_text(
        &thing_type, "{\"name\":\"x\",\"note\":null,\"size\":null,\"newer\":{\"a\":[1]}}", &error);

    g_assert_no_error(error);
    g_assert_null(thing->note);
    g_assert_cmpint(thing->size, ==, 0);
    virga_record_free(&thing_type, thing);
}

static char *
nested(int depth)
{
    GString *text = g_string_new(NULL);

    for (int i = 1; i < depth; i++)
        g_string_append(text, "{\"name\":\"x\",\"things\":[");
    g_string_append(text, "{\"name\":\"x\"}");
    for (int i = 1; i < depth; i++)
        g_string_append(text, "]}");
    return g_string_free(text, FALSE);
}

static void
test_depth(void)
{
    g_autofree char *deep = nested(8), *deeper = nested(9);
    g_autoptr(GError) error = NULL;
    Thing *thing = virga_record_from_text(&thing_type, deep, &error);

    g_assert_no_error(error);
    virga_record_free(&thing_type, thing);
    g_assert_null(virga_record_from_text(&thing_type, deeper, &error));
    g_assert_true(virga_error_is(error, "thing", VIRGA_ERROR_INVALID));
}

/* Neither a stack nor a memory is lost to a text of some kilobytes. */
static void
test_bombs(void)
{
    static const char *const bad[] = { "",
                                       "   ",
                                       "nul",
                                       "[1,]",
                                       "{\"a\":\"open",
                                       "{\"a\":\"open\\",
                                       "{\"a\":\"a\nb\"}",
                                       "{\"a\":\"\xff\"}",
                                       "/* \" */ []",
                                       "var x = []",
                                       "['a']" };
    static const char *const opening[] = { "[", "{\"a\":", "[{\"a\":[\"]}\"," };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = virga_json_parse(bad[i], -1, &error);

        if (node || !virga_error_is(error, "request", VIRGA_ERROR_INVALID))
            g_error("\"%s\" was not refused", bad[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(opening); i++) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GError) error = NULL;

        while (text->len < 500000)
            g_string_append(text, opening[i]);
        g_assert_null(virga_json_parse(text->str, (gssize) text->len, &error));
        g_assert_true(virga_error_is(error, "request", VIRGA_ERROR_INVALID));
    }
}

static void
test_json(void)
{
    static const char *const texts[] = {
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        " {\"a\" : \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"\", "
        "\"b\":[-1.5e+3,true,null]}\n",
    };
    g_autoptr(GString) long_text = g_string_new("[0");
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(JsonNode) node = virga_json_parse(texts[i], -1, &error);

        g_assert_no_error(error);
        g_assert_nonnull(node);
    }
    for (guint i = 0; i < VIRGA_JSON_VALUES_MAX; i++)
        g_string_append(long_text, ",0");
    g_string_append(long_text, "]");
    g_assert_null(virga_json_parse(long_text->str, (gssize) long_text->len, &error));
    g_assert_true(virga_error_is(error, "request", VIRGA_ERROR_INVALID));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record/round-trip", test_round_trip);
    g_test_add_func("/record/new", test_new);
    g_test_add_func("/record/refused", test_refused);
    g_test_add_func("/record/lenient", test_lenient);
    g_test_add_func("/record/depth", test_depth);
    g_test_add_func("/json/bombs", test_bombs);
    g_test_add_func("/json/texts", test_json);
    return g_test_run();
}
