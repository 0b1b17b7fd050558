/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary credentials.
 *
 * Nothing of a session is stored: its token holds all that it is, sealed with a key that the
 * replicas share (AES-256-GCM, the access key id is authenticated with it), and the secret is
 * derived from the token's nonce.  So a role is assumed without a write, any replica honours what
 * another gave out, and nothing is to be swept up.  What a session may do is not in the token but
 * looked up at each request: rights that are taken away are gone, and with a user or role that is
 * deleted its sessions end. */
#pragma once

#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>

#define VIRGA_SESSION_TOKEN_MAX 16384

/* Texts are the arena's; NULL where there is nothing. */
typedef struct VirgaSession {
    char *account_id;
    char *entity_id;    /* user or role; NULL: the account's administrator */
    char *name;         /* of a role's session */
    char *policy;       /* session policy: a document */
    char **policy_arns; /* managed ones that bound the session, too */
    char **tags;        /* key, value, key, value */
    char *source;       /* ARN of the instance that has it */
    gint64 issued_s, expires_s;
} VirgaSession;

/* What a client gets. */
typedef struct {
    char *access_key_id, *secret, *token;
    gint64 expires_s;
} VirgaCredentials;

typedef struct VirgaSealer VirgaSealer;

/* 'secret' is the cloud's and the same on every replica. */
VirgaSealer *virga_sealer_new(const void *secret, gsize size);
void virga_sealer_free(VirgaSealer *sealer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaSealer, virga_sealer_free)

/* Never fails. */
void virga_session_seal(const VirgaSealer *sealer, VirgaArena *arena, const VirgaSession *session,
                        VirgaCredentials *ret);

/* Opens what came from a client, any bytes.  Fails with ("access key", NOT_FOUND) if it is not
 * ours, and with ExpiredToken. */
bool virga_session_open(const VirgaSealer *sealer, VirgaArena *arena, const char *access_key_id,
                        const char *token, gint64 now_s, VirgaSession **ret_session,
                        char **ret_secret, GError **error);

/* The account that a temporary key's id was made for, the arena's; NULL: it is no such id. */
char *virga_session_account(VirgaArena *arena, const char *access_key_id);
