/* SPDX-License-Identifier: Apache-2.0 */
/* How handlers of the query services (IAM, Elastic Load Balancing) run: each in one transaction. */
#pragma once

#include "api/call.h"

/* Sets all that it has to say in 'response', which is zeroed. */
typedef bool (*VirgaQueryWork)(VirgaCall *call, VirgaTxn *txn, const void *request, void *response,
                               GError **error);

/* Runs 'work' in a transaction, again if it lost a race. */
bool virga_query_transaction(VirgaCall *call, VirgaQueryWork work, const void *request,
                             void *response, GError **error);

/* The handler of an action of a service, whose types begin with 'Service'; its body follows, and
 * runs by 'run' in a transaction called "txn". */
#define VIRGA_QUERY_ACTION(service, Service, run, name, Name)                                      \
    static bool name##_body(VirgaCall *call, VirgaTxn *txn, const Service##Name##Request *request, \
                            Service##Name##Response *response, GError **error);                    \
    static bool name##_work(VirgaCall *call, VirgaTxn *txn, const void *request, void *response,   \
                            GError **error)                                                        \
    {                                                                                              \
        return name##_body(call, txn, request, response, error);                                   \
    }                                                                                              \
    bool service##_##name(VirgaCall *call, const Service##Name##Request *request,                  \
                          Service##Name##Response *response, GError **error)                       \
    {                                                                                              \
        return run(call, name##_work, request, response, error);                                   \
    }                                                                                              \
    static bool name##_body(VirgaCall *call, VirgaTxn *txn, const Service##Name##Request *request, \
                            Service##Name##Response *response, GError **error)
