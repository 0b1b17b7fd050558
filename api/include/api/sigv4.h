/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4: who sent this request?
 *
 * Errors carry the codes of query services (virga_api_fail()): MissingAuthenticationToken,
 * IncompleteSignature, InvalidClientTokenId, SignatureDoesNotMatch, RequestExpired.  What EC2 and
 * S3 say instead is the edge's affair. */
#pragma once

#include "api/server.h"
#include "core/arena.h"

#define VIRGA_SIGV4_SKEW_S        900
#define VIRGA_SIGV4_EXPIRES_MAX_S 604800
#define VIRGA_SIGV4_HEADERS_MAX   100

typedef struct VirgaSession VirgaSession;

/* Whom an access key stands for.  Texts are the arena's of the look-up. */
typedef struct {
    const char *secret;
    const char *session_token; /* of temporary keys, else NULL */
    const char *account_id;
    const char *principal_arn;
    const char *user_id;
    const char *entity_id; /* the user or role whose policies count; NULL: the administrator */
    const VirgaSession *session; /* of temporary keys (api/session.h), else NULL */
} VirgaIdentity;

/* Finds an access key; on any thread, may block.  'session_token' is what came with it, or NULL.
 * Fails with ("access key", NOT_FOUND), or as the client is to be told. */
typedef bool (*VirgaKeyLookup)(const char *access_key_id, const char *session_token,
                               VirgaArena *arena, VirgaIdentity *ret_identity, gpointer user_data,
                               GError **error);

/* Hears that a user's key was used, for its last use. */
typedef void (*VirgaKeyUsed)(const char *access_key_id, const char *region, const char *service,
                             gpointer user_data);

/* What a request says of its signature; texts are the arena's. */
typedef struct {
    const char *access_key_id;
    const char *date; /* of the scope: "20260102" */
    const char *region;
    const char *service;
    const char *signed_headers; /* "host;x-amz-date" */
    const char *signature;      /* hex */
    const char *time;           /* "20260102T030405Z" */
    gint64 time_s;
    const char *session_token; /* or NULL */
    bool presigned;
    gint64 expires_s; /* presigned only */
} VirgaSigv4;

/* Takes the signature's parts from the Authorization header or the query.  Looks at the form only;
 * any bytes may come.  After a failure 'service' says which one was meant, if that was to be read:
 * the failure is told in its words. */
bool virga_sigv4_parse(VirgaArena *arena, const VirgaHttpRequest *request, VirgaSigv4 *ret_parts,
                       GError **error);

/* The canonical request, whose hash is signed: for tests and for the error's text.  NULL with an
 * error if the query cannot be decoded or the body is not what x-amz-content-sha256 says. */
GString *virga_sigv4_canonical(const VirgaHttpRequest *request, const VirgaSigv4 *parts,
                               GError **error);

typedef struct VirgaSigv4Verifier VirgaSigv4Verifier;

/* 'region' NULL: a scope may name any region.  Safe in any thread. */
VirgaSigv4Verifier *virga_sigv4_verifier_new(const char *region, VirgaKeyLookup lookup,
                                             gpointer user_data);
void virga_sigv4_verifier_free(VirgaSigv4Verifier *verifier);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaSigv4Verifier, virga_sigv4_verifier_free)

/* Checks time, scope and signature at 'now_s'.  The caller has checked that it serves
 * parts->service.  On success 'ret_identity' tells who it is. */
bool virga_sigv4_verify(VirgaSigv4Verifier *verifier, VirgaArena *arena,
                        const VirgaHttpRequest *request, const VirgaSigv4 *parts, gint64 now_s,
                        VirgaIdentity *ret_identity, GError **error);
