/* SPDX-License-Identifier: Apache-2.0 */
/* Plain structs to and from JSON by a table of their fields.
 *
 * A type's table is its wire format: the reader, the writer and the free function all follow it,
 * so none can forget a member.  Members that the table does not name are ignored when reading (a
 * newer peer may send more) and absent ones keep 0 or NULL unless they are required. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct VirgaRecordType VirgaRecordType;

typedef enum {
    VIRGA_FIELD_STRING,  /* char *, owned; NULL is left out */
    VIRGA_FIELD_STRINGS, /* GStrv, owned; NULL: none */
    VIRGA_FIELD_BOOL,    /* bool */
    VIRGA_FIELD_BOOL_ON, /* bool that is true when it is left out */
    VIRGA_FIELD_INTEGER, /* gint64 */
    VIRGA_FIELD_RECORDS, /* GPtrArray * of records, owned; never NULL */
} VirgaFieldKind;

typedef struct {
    const char *name;
    VirgaFieldKind kind;
    size_t offset;
    bool required;
    const VirgaRecordType *of; /* of RECORDS */
} VirgaField;

struct VirgaRecordType {
    const char *noun; /* of errors; a string literal */
    size_t size;
    const VirgaField *fields; /* ends with a NULL name */
};

/* A record of zeros, of what is true unless it is said otherwise, and of empty lists; the caller
 * frees it by virga_record_free(). */
void *virga_record_new(const VirgaRecordType *type);
/* The same as the last of a list, whose it is. */
void *virga_record_add(GPtrArray *records, const VirgaRecordType *type);
void virga_record_free(const VirgaRecordType *type, void *record);

/* Fails with INVALID and the name of the member that is missing or of another type. */
void *virga_record_from_json(const VirgaRecordType *type, JsonNode *json, GError **error);
void *virga_record_from_text(const VirgaRecordType *type, const char *text, GError **error);

/* The caller owns the result.  The same record always gives the same text. */
JsonNode *virga_record_to_json(const VirgaRecordType *type, const void *record);
char *virga_record_to_text(const VirgaRecordType *type, const void *record);
