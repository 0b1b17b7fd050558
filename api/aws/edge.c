/* SPDX-License-Identifier: Apache-2.0 */
/* Signature, parameters, handler, XML or JSON: the way of a call through the AWS dialect. */
#include "api/edge.h"
#include "api/authorize.h"
#include "api/call.h"
#include "api/errors.h"
#include "core/db.h"
#include "core/id.h"
#include "core/log.h"

#include <string.h>

#define SERVICES_MAX 32

struct VirgaEdge {
    VirgaEdgeOptions options;
    char *region;
    VirgaSigv4Verifier *verifier;
    const VirgaWireService *services[SERVICES_MAX];
    gsize service_count;
};

/* What is known of a request, more and more of it: an error can be answered at any point. */
typedef struct {
    VirgaEdge *edge;
    const VirgaHttpRequest *request;
    VirgaArena *arena;
    char *request_id;
    VirgaSigv4 signature;
    const VirgaWireService *service; /* NULL: not known yet */
    const VirgaWireAction *action;
    VirgaWireParameters parameters;
    VirgaCaller *caller; /* freed with the passage */
    VirgaCall call;
} Passage;

VirgaEdge *
virga_edge_new(const VirgaEdgeOptions *options)
{
    VirgaEdge *edge = g_new0(VirgaEdge, 1);

    edge->options = *options;
    edge->region = g_strdup(options->region);
    edge->verifier = virga_sigv4_verifier_new(options->any_region ? NULL : options->region,
                                              options->lookup, options->lookup_data);
    return edge;
}

void
virga_edge_free(VirgaEdge *edge)
{
    if (!edge)
        return;
    virga_sigv4_verifier_free(edge->verifier);
    g_free(edge->region);
    g_free(edge);
}

void
virga_edge_add(VirgaEdge *edge, const VirgaWireService *service)
{
    g_assert(edge->service_count < SERVICES_MAX);
    edge->services[edge->service_count++] = service;
}

static const VirgaWireService *
find_service(const VirgaEdge *edge, const char *name)
{
    for (gsize i = 0; i < edge->service_count; i++) {
        if (g_str_equal(edge->services[i]->name, name))
            return edge->services[i];
    }
    return NULL;
}

static gint64
now_s(const VirgaEdge *edge)
{
    return edge->options.now_s ? edge->options.now_s(edge->options.now_data)
                               : g_get_real_time() / G_USEC_PER_SEC;
}

/* ---- errors ---- */

static bool
is_rest(const VirgaWireService *service)
{
    return service && service->protocol == VIRGA_WIRE_REST_JSON;
}

static VirgaHttpResponse *
respond(const VirgaWireService *service, unsigned status, GString *text, const char *request_id)
{
    VirgaHttpResponse *response = virga_http_response_new(
        status, is_rest(service) ? "application/json" : "text/xml;charset=UTF-8",
        g_string_free_to_bytes(text));

    virga_http_response_add_header(response, "x-amzn-RequestId", request_id);
    virga_http_response_add_header(response, "Cache-Control", "no-cache, no-store");
    return response;
}

/* EC2 has its own words for what signatures get wrong, query services for wrong parameters. */
static VirgaApiError
in_words_of(VirgaWireProtocol protocol, VirgaApiError error)
{
    static const char *const failures[] = { "InvalidClientTokenId", "SignatureDoesNotMatch", NULL };
    static const char *const malformed[] = { "MissingParameter", "InvalidParameterValue",
                                             "InvalidNextToken", NULL };

    if (protocol == VIRGA_WIRE_EC2 && g_strv_contains(failures, error.code))
        return (VirgaApiError){ "AuthFailure", 401,
                                "AWS was not able to validate the provided access credentials",
                                false };
    if (protocol == VIRGA_WIRE_EC2 && g_str_equal(error.code, "ExpiredToken"))
        return (VirgaApiError){ "RequestExpired", 400, "Request has expired.", false };
    if (protocol == VIRGA_WIRE_REST_JSON && g_strv_contains(malformed, error.code))
        return (VirgaApiError){ "BadRequest", 400, error.message, false };
    if (protocol == VIRGA_WIRE_QUERY && g_strv_contains(malformed, error.code))
        return (VirgaApiError){ "ValidationError", 400, error.message, false };
    if (protocol == VIRGA_WIRE_QUERY && g_str_equal(error.code, "RequestExpired"))
        return (VirgaApiError){ "SignatureDoesNotMatch", 403, error.message, false };
    return error;
}

static VirgaHttpResponse *
respond_error(const Passage *passage, const GError *failure)
{
    const VirgaWireService *service = passage->service;
    VirgaWireProtocol protocol = service ? service->protocol : VIRGA_WIRE_EC2;
    VirgaApiError error = in_words_of(protocol, virga_api_error(failure));

    if (error.hidden)
        virga_log(G_LOG_LEVEL_MESSAGE, "call", passage->action ? passage->action->name : "unknown",
                  "%s: %s", g_quark_to_string(failure->domain), failure->message);
    if (is_rest(service)) {
        VirgaHttpResponse *response =
            respond(service, error.status, virga_wire_encode_json_error(error.code, error.message),
                    passage->request_id);

        virga_http_response_add_header(response, "x-amzn-ErrorType", error.code);
        return response;
    }
    return respond(service, error.status,
                   virga_wire_encode_error(protocol, service ? service->xml_namespace : "",
                                           error.status, error.code, error.message,
                                           passage->request_id),
                   passage->request_id);
}

/* ---- the steps ---- */

static bool
authenticate(Passage *passage, GError **error)
{
    VirgaEdge *edge = passage->edge;
    VirgaIdentity identity;
    bool parsed = virga_sigv4_parse(passage->arena, passage->request, &passage->signature, error);

    if (passage->signature.service)
        passage->service = find_service(edge, passage->signature.service);
    if (!parsed)
        return false;
    if (!passage->service)
        return virga_api_fail(error, "SignatureDoesNotMatch", 403,
                              "Credential should be scoped to correct service.");
    if (!virga_sigv4_verify(edge->verifier, passage->arena, passage->request, &passage->signature,
                            now_s(edge), &identity, error))
        return false;
    passage->caller =
        virga_caller_new(passage->arena, edge->options.rights, &identity, passage->request, error);
    if (!passage->caller)
        return false;
    if (edge->options.used && identity.entity_id && !identity.session)
        edge->options.used(passage->signature.access_key_id, passage->signature.region,
                           passage->service->name, edge->options.lookup_data);
    passage->call.caller = passage->caller;
    passage->call.service = passage->service;
    passage->call.account_id = identity.account_id;
    passage->call.principal_arn = identity.principal_arn;
    passage->call.user_id = identity.user_id;
    passage->call.access_key_id = passage->signature.access_key_id;
    return true;
}

static bool
is_form(const VirgaHttpRequest *request)
{
    const char *type = virga_http_header(request, "Content-Type");
    gsize length = type ? strcspn(type, "; ") : 0;

    return length == 0 ||
           (length == strlen("application/x-www-form-urlencoded") &&
            g_ascii_strncasecmp(type, "application/x-www-form-urlencoded", length) == 0);
}

static void
set_action(Passage *passage, const VirgaWireAction *action)
{
    passage->action = action;
    passage->call.action = action->name;
    passage->call.wire = action;
}

/* The action, too: method and path are its name. */
static bool
read_rest(Passage *passage, GError **error)
{
    const VirgaHttpRequest *request = passage->request;
    VirgaWireParameters query = { 0 };
    const VirgaWireAction *action =
        virga_wire_rest_action(passage->arena, passage->service, request->method, request->path,
                               &passage->parameters, error);

    if (!action)
        return false;
    set_action(passage, action);
    return !action->handler || /* it is refused */
           (virga_wire_parse_form(passage->arena, request->query, strlen(request->query), &query,
                                  error) &&
            virga_wire_rest_query(passage->arena, action->input, &query, &passage->parameters,
                                  error) &&
            virga_wire_rest_body(passage->arena, (const char *) request->body, request->body_size,
                                 &passage->parameters, error));
}

static bool
read_parameters(Passage *passage, GError **error)
{
    const VirgaHttpRequest *request = passage->request;
    bool is_post = g_str_equal(request->method, "POST");

    if (is_rest(passage->service))
        return read_rest(passage, error);

    if (!is_post && !g_str_equal(request->method, "GET"))
        return virga_api_fail(error, "InvalidRequest", 405, "The method must be GET or POST");
    if (!virga_wire_parse_form(passage->arena, request->query, strlen(request->query),
                               &passage->parameters, error))
        return false;
    if (!is_post || request->body_size == 0)
        return true;
    if (!is_form(request))
        return virga_api_fail(error, "InvalidRequest", 415,
                              "The body must be application/x-www-form-urlencoded");
    return virga_wire_parse_form(passage->arena, (const char *) request->body, request->body_size,
                                 &passage->parameters, error);
}

static bool
find_action(Passage *passage, GError **error)
{
    const char *name = virga_wire_parameter(&passage->parameters, "Action");
    const char *version = virga_wire_parameter(&passage->parameters, "Version");
    const VirgaWireAction *action;

    if (is_rest(passage->service))
        return true; /* it is known */
    if (!name || !*name)
        return virga_api_fail(error, "MissingAction", 400,
                              "The request must contain the parameter Action");
    if (version && (strlen(version) > 10 || strspn(version, "0123456789-") != strlen(version)))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "The Version must be a date such as %s", passage->service->version);
    /* Two services may share a name, and then are told apart by this. */
    if (version && passage->service->protocol == VIRGA_WIRE_QUERY &&
        !g_str_equal(version, passage->service->version))
        return virga_api_fail(error, "InvalidAction", 400,
                              "Could not find operation %.100s for version %s", name, version);
    action = virga_wire_action(passage->service, name);
    if (!action)
        return virga_api_fail(error, "InvalidAction", 400,
                              "The action %.200s is not valid for this web service.", name);
    passage->call.version = version;
    set_action(passage, action);
    return true;
}

static bool
wants_dry_run(const VirgaWireShape *input, const void *request)
{
    const VirgaWireMember *member = virga_wire_member(input, "DryRun");

    return member && member->shape->type == VIRGA_WIRE_BOOLEAN &&
           *(const bool *) ((const guint8 *) request + member->offset);
}

/* "ec2:DescribeVpnGateways" */
static const char *
describe(const Passage *passage)
{
    return virga_arena_printf(passage->arena, "%s:%s", passage->service->name,
                              passage->action->name);
}

/* Calls the handler; *ret_response stays NULL for the empty set of an unhandled Describe. */
static bool
call_handler(Passage *passage, const void **ret_response, GError **error)
{
    const VirgaWireAction *action = passage->action;
    void *request, *response;

    if (!action->handler) {
        if (!action->empty)
            return virga_api_fail(error, "UnsupportedOperation", 400,
                                  "The action %s is not supported by this cloud", action->name);
        return virga_call_authorize(&passage->call, describe(passage), "*", NULL, error);
    }
    request = virga_wire_decode(passage->arena, passage->service->protocol, action->input,
                                &passage->parameters, error);
    if (!request)
        return false;
    response = virga_arena_alloc(passage->arena, 1, action->output->size);
    passage->call.dry_run = wants_dry_run(action->input, request);
    if (!virga_call_authorize_request(&passage->call, request, error))
        return false;
    if (!action->handler(&passage->call, request, response, error))
        return false;
    *ret_response = response;
    return true;
}

static GString *
encode(const Passage *passage, const void *response)
{
    if (is_rest(passage->service))
        return virga_wire_encode_json(passage->action, response);
    return virga_wire_encode(passage->service, passage->action, response, passage->call.version,
                             passage->request_id, 2 * virga_arena_size(passage->arena));
}

static VirgaHttpResponse *
pass(Passage *passage)
{
    g_autoptr(GError) error = NULL;
    const void *response = NULL;
    GString *text;

    if (!authenticate(passage, &error) || !read_parameters(passage, &error) ||
        !find_action(passage, &error) || !call_handler(passage, &response, &error))
        return respond_error(passage, error);
    text = encode(passage, response);
    if (!virga_call_commit(&passage->call, &error)) {
        g_string_free(text, TRUE);
        return respond_error(passage, error);
    }
    return respond(passage->service, passage->action->status ? passage->action->status : 200, text,
                   passage->request_id);
}

VirgaHttpResponse *
virga_edge_answer(VirgaEdge *edge, const VirgaHttpRequest *request)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autofree char *request_id = virga_uuid_new();
    VirgaHttpResponse *response;
    Passage passage = {
        .edge = edge,
        .request = request,
        .arena = arena,
        .request_id = request_id,
        .call = { .arena = arena,
                  .request_id = request_id,
                  .source_ip = request->peer,
                  .region = edge->region,
                  .db = edge->options.db,
                  .services = edge->options.services },
    };

    virga_log_set_request(request_id);
    response = pass(&passage);
    virga_txn_free(passage.call.committing);
    virga_caller_free(passage.caller);
    virga_log_set_request(NULL);
    return response;
}

VirgaHttpOutcome
virga_edge_handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
                  VirgaHttpResponse **ret_response, gpointer edge)
{
    *ret_response = virga_edge_answer(edge, request);
    return VIRGA_HTTP_NOW;
}

VirgaHttpResponse *
virga_edge_reject(const VirgaHttpRequest *request, unsigned status, gpointer edge)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autofree char *request_id = virga_uuid_new();
    g_autoptr(GError) error = NULL;
    VirgaSigv4 signature;
    Passage passage = { .edge = edge, .request = request, .request_id = request_id };

    virga_sigv4_parse(arena, request, &signature, NULL);
    if (signature.service)
        passage.service = find_service(edge, signature.service);
    if (status == 413)
        virga_api_fail(&error, "RequestEntityTooLarge", 413, "The request is too large");
    else if (status == 504)
        virga_api_fail(&error, "RequestTimeout", 504, "The request took too long");
    else
        virga_api_fail(&error, "Unavailable", status, "The server is overloaded: try again later");
    return respond_error(&passage, error);
}

bool
virga_call_commit(VirgaCall *call, GError **error)
{
    g_autoptr(VirgaTxn) txn = g_steal_pointer(&call->committing);

    return !txn || virga_txn_commit_receive(txn, error);
}

bool
virga_call_dry_run(const VirgaCall *call, GError **error)
{
    return !call->dry_run ||
           virga_api_fail(error, "DryRunOperation", 412,
                          "Request would have succeeded, but DryRun flag is set.");
}
