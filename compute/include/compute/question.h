/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a host that somebody waits for: a guest's picture, its console now, an interrupt.
 *
 * A question travels with the host's wish and its answer by the node API, by way of the database,
 * so that any replica may be asked and any be answered.  Nothing depends on one: lost, it is asked
 * again by whoever wants to know. */
#pragma once

#include "core/db.h"

typedef enum {
    VIRGA_QUESTION_SCREENSHOT,
    VIRGA_QUESTION_NMI,
    VIRGA_QUESTION_CONSOLE,
} VirgaQuestionKind;

/* Asks the host about one of its instances and waits some seconds for the answer ('ret_answer', in
 * 'arena'): the picture as JPEG or the console's end, both in base64, or "".  Noun "host": RETRY
 * without an answer in time, or when too many wait already; "instance": STATE when the host cannot
 * do it. */
bool virga_question_ask(VirgaDb *db, VirgaArena *arena, const char *host_id,
                        const char *instance_id, VirgaQuestionKind kind, char **ret_answer,
                        GError **error);

/* Takes what a host answers; 'failure' NULL: it could.  A question that nobody waits for any more
 * is no error. */
bool virga_question_answer(VirgaTxn *txn, const char *host_id, const char *id, const char *answer,
                           const char *failure, GError **error);

/* A host's open questions as JSON, for an SQL statement: an array of {id, kind, instance_id}, or
 * NULL if there are none.  'host' is an SQL expression. */
#define VIRGA_QUESTIONS_SQL(host)                                                                  \
    "(SELECT json_agg(json_build_object('id', q.id, 'kind', q.kind, 'instance_id',"                \
    " q.instance_id) ORDER BY q.asked)::text FROM host_question q WHERE q.host_id = " host         \
    " AND q.answered IS NULL AND q.asked > now() - interval '10 seconds')"
