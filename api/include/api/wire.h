/* SPDX-License-Identifier: Apache-2.0 */
/* The codec between AWS's protocols and C structs.
 *
 * api/wire/generate.py turns a service's model into structs and, beside them, into constant tables
 * (VirgaWireShape) that say how the structs are laid out and what their members are called on the
 * wire.  Everything here is one interpreter of those tables.
 *
 * How values lie in a generated struct:
 *     string     const char *, NULL = absent
 *     integer    gint64  \
 *     boolean    bool     } each with a bool has_NAME beside it
 *     double     double  /
 *     timestamp  gint64, microseconds since the epoch, 0 = absent
 *     blob       VirgaWireBlob, data NULL = absent
 *     structure  pointer, NULL = absent
 *     list       struct { Element *items; size_t count; } by value; elements by value, structures
 *                too.  Absent and empty are the same; an answer shows an empty list as an empty
 *                element
 * All memory belongs to one VirgaArena; nothing is freed alone. */
#pragma once

#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define VIRGA_WIRE_PARAMETERS_MAX 10000
#define VIRGA_WIRE_DEPTH_MAX      24

typedef struct {
    const guint8 *data;
    gsize length;
} VirgaWireBlob;

/* What every generated list struct looks like to the interpreter. */
typedef struct {
    void *items;
    gsize count;
} VirgaWireList;

typedef enum {
    VIRGA_WIRE_STRING,
    VIRGA_WIRE_INTEGER, /* 32 bits on the wire */
    VIRGA_WIRE_LONG,
    VIRGA_WIRE_DOUBLE,
    VIRGA_WIRE_BOOLEAN,
    VIRGA_WIRE_TIMESTAMP,
    VIRGA_WIRE_BLOB,
    VIRGA_WIRE_STRUCT,
    VIRGA_WIRE_LIST,
} VirgaWireType;

typedef struct VirgaWireShape VirgaWireShape;

typedef struct {
    const char *name;   /* the model's name: "InstanceIds"; the paths of filters use it */
    const char *input;  /* the key in requests: "InstanceId" */
    const char *output; /* the element in answers: "instancesSet" */
    const VirgaWireShape *shape;
    guint32 offset;
    guint32 has_offset; /* 0: the value itself says whether it is there */
    bool required;
    bool flat;             /* a list without an element of its own around it */
    guint16 output_length; /* characters of 'output' */
} VirgaWireMember;

struct VirgaWireShape {
    const char *name;
    VirgaWireType type;
    guint32 size; /* of the value in a list */

    /* structure: members in the model's order, and their positions ordered by 'input' */
    const VirgaWireMember *members;
    const guint16 *by_input;
    guint32 member_count;
    /* Its answers leave empty lists out, but for those with items that are not NULL: they show what
     * somebody has set or asked for. */
    bool sparse;

    /* list */
    const VirgaWireShape *element;
    const char *element_name; /* "item", "member" */
    guint16 element_name_length;

    /* limits of the number, the list's length or the string's characters */
    gint64 min, max;
    bool has_min, has_max;
    const char *const *values; /* of an enum, NULL-terminated; NULL: any */
};

typedef enum { VIRGA_WIRE_EC2, VIRGA_WIRE_QUERY, VIRGA_WIRE_REST_JSON } VirgaWireProtocol;

typedef struct VirgaCall VirgaCall;

/* A generated, type-safe bridge to the handler that is written by hand. */
typedef bool (*VirgaWireHandler)(VirgaCall *call, const void *request, void *response,
                                 GError **error);

typedef struct {
    const char *name;
    VirgaWireHandler handler; /* NULL: not handled */
    const VirgaWireShape *input, *output;
    const char *method, *uri; /* REST: "PUT", "/2015-02-01/file-systems/{FileSystemId}" */
    unsigned status;          /* REST: of success */
    const char *wrapper;      /* query: the element around the result, or NULL */
    /* Of a Describe that is not handled: the lists of its empty answer, NULL-terminated.  NULL: the
     * action is answered with UnsupportedOperation. */
    const char *const *empty;
} VirgaWireAction;

typedef struct {
    const char *name; /* "ec2", as in a credential scope */
    VirgaWireProtocol protocol;
    const char *version;
    const char *xml_namespace;
    const VirgaWireAction *actions; /* all that the model knows, ordered by name */
    gsize action_count;
} VirgaWireService;

/* ---- requests ---- */

typedef struct {
    const char *name;
    const char *value;
} VirgaWireParameter;

typedef struct {
    VirgaWireParameter *items;
    gsize count;
} VirgaWireParameters;

/* Splits and decodes "a=1&b=x%20y" into 'parameters', adding to what is there.  Texts are the
 * arena's.  Fails with MalformedQueryString on a bad escape, a NUL or bytes that are not UTF-8, and
 * with RequestLimitExceeded beyond VIRGA_WIRE_PARAMETERS_MAX. */
bool virga_wire_parse_form(VirgaArena *arena, const char *text, gsize length,
                           VirgaWireParameters *parameters, GError **error);

/* The value of the parameter called 'name', or NULL; a loan. */
const char *virga_wire_parameter(const VirgaWireParameters *parameters, const char *name);

/* Builds the struct of 'input' from 'parameters' (their order is changed) and checks required
 * members, enums and limits.  Action, Version and the parameters of signatures are passed over.
 * Fails with AWS's codes: MissingParameter, UnknownParameter, InvalidParameterValue,
 * InvalidParameterCombination.  The result is the arena's; NULL on failure. */
void *virga_wire_decode(VirgaArena *arena, VirgaWireProtocol protocol, const VirgaWireShape *input,
                        VirgaWireParameters *parameters, GError **error);

/* ---- requests of REST-JSON services: they become parameters as of query services ---- */

/* The action that method and path (still escaped) name, and what the path holds.  Fails with
 * UnknownOperationException. */
const VirgaWireAction *virga_wire_rest_action(VirgaArena *arena, const VirgaWireService *service,
                                              const char *method, const char *path,
                                              VirgaWireParameters *parameters, GError **error);
/* What the query holds, which was parsed as a form. */
bool virga_wire_rest_query(VirgaArena *arena, const VirgaWireShape *input,
                           const VirgaWireParameters *query, VirgaWireParameters *parameters,
                           GError **error);
/* What the body holds.  Fails with SerializationException, RequestLimitExceeded. */
bool virga_wire_rest_body(VirgaArena *arena, const char *body, gsize length,
                          VirgaWireParameters *parameters, GError **error);

/* The action called 'name', or NULL if the model does not know it. */
const VirgaWireAction *virga_wire_action(const VirgaWireService *service, const char *name);

/* The member of a structure by its model name, or NULL. */
const VirgaWireMember *virga_wire_member(const VirgaWireShape *shape, const char *name);

/* A hash of all that 'structure' holds but for the members in 'except' (NULL-terminated, may be
 * NULL), for comparing requests that carry the same client token.  The arena's. */
char *virga_wire_digest(VirgaArena *arena, const VirgaWireShape *shape, const void *structure,
                        const char *const *except);

/* ---- structs at rest ---- */

/* The structure as JSON by the model's names, absent members left out; the same structure always
 * gives the same text.  The arena's. */
char *virga_wire_to_json(VirgaArena *arena, const VirgaWireShape *shape, const void *structure);

/* Reads what the above wrote, as this shape or as another one with members of the same names and
 * kinds; those that 'shape' lacks are passed over.  The arena's; NULL (noun "stored request",
 * INTERNAL; "request", INVALID) if the text is no such JSON. */
void *virga_wire_from_json(VirgaArena *arena, const VirgaWireShape *shape, const char *text,
                           GError **error);

/* Gives 'structure' the members that it lacks and 'from', of the same shape, has.  Values are
 * shared, not copied. */
void virga_wire_inherit(const VirgaWireShape *shape, void *structure, const void *from);

/* ---- answers ---- */

/* The XML answer of 'action'.  'response' NULL gives the empty set of an unhandled Describe.
 * 'version' is the caller's (EC2 echoes it); NULL stands for the service's own.
 * 'size_hint' is a guess at the answer's bytes, so that a large one is not moved while it grows. */
GString *virga_wire_encode(const VirgaWireService *service, const VirgaWireAction *action,
                           const void *response, const char *version, const char *request_id,
                           gsize size_hint);

/* The XML error in the protocol's shape. */
GString *virga_wire_encode_error(VirgaWireProtocol protocol, const char *xml_namespace,
                                 unsigned status, const char *code, const char *message,
                                 const char *request_id);

/* The same of REST-JSON services; an answer without members has no text. */
GString *virga_wire_encode_json(const VirgaWireAction *action, const void *response);
GString *virga_wire_encode_json_error(const char *code, const char *message);

/* Appends EC2's text form of a time: 2026-01-02T03:04:05.000Z. */
void virga_wire_append_time(GString *out, gint64 time_us);

/* ---- reflection ---- */

#define VIRGA_WIRE_PATH_MAX 8

/* A dotted path of member names ("Placement.AvailabilityZone"), resolved.  Lists fan out. */
typedef struct {
    const VirgaWireMember *steps[VIRGA_WIRE_PATH_MAX];
    guint length;
} VirgaWirePath;

/* False if 'path' does not lead from 'shape' to a scalar or a list of scalars. */
bool virga_wire_path(const VirgaWireShape *shape, const char *path, VirgaWirePath *ret_path);

/* Sees a scalar in EC2's text form, a loan; returning false ends the walk. */
typedef bool (*VirgaWireVisit)(const char *text, gpointer user_data);

/* Visits every scalar at 'path' in 'structure'.  Returns false if a visit ended the walk. */
bool virga_wire_values(const VirgaWirePath *path, const void *structure, VirgaWireVisit visit,
                       gpointer user_data);
