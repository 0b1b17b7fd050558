/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/metadata-server.h"

#include "core/error.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_TIMEOUT_S    10
#define CONNECTIONS_MAX   120 /* libmicrohttpd stalls at exactly 128 ready ones with epoll */
#define GUEST_CONNECTIONS 16
#define CONNECTION_MEMORY (16u << 10)
#define HOPS_USUAL        64

struct VirgaMetadataServer {
    struct MHD_Daemon *daemon;
    char *vpc_id;
    guint8 key[VIRGA_METADATA_KEY_SIZE];
    VirgaMetadataLookup lookup;
    void *data;
};

static const char *
header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* The guest's address and the connection's socket; -1: not IPv4. */
static int
peer_of(struct MHD_Connection *connection, char address[static INET_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *client =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const union MHD_ConnectionInfo *socket =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (!client || !socket || client->client_addr->sa_family != AF_INET ||
        !inet_ntop(AF_INET, &((struct sockaddr_in *) (void *) client->client_addr)->sin_addr,
                   address, INET_ADDRSTRLEN))
        return -1;
    return socket->connect_fd;
}

/* A token that a router or a container in the guest asked for dies on its way there. */
static void
set_hops(int fd, gint64 hops)
{
    int value = (int) CLAMP(hops, 1, 64);
    setsockopt(fd, IPPROTO_IP, IP_TTL, &value, sizeof value);
}

static enum MHD_Result
send_answer(struct MHD_Connection *connection, const VirgaMetadataResponse *answer)
{
    gsize length;
    const void *bytes = g_bytes_get_data(answer->body, &length);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *) bytes, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    MHD_add_response_header(response, MHD_HTTP_HEADER_SERVER, "EC2ws");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    if (answer->token_ttl)
        MHD_add_response_header(response, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds",
                                answer->token_ttl);
    result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result
handle(void *data, struct MHD_Connection *connection, const char *path, const char *method,
       const char *version, const char *upload, size_t *upload_size, void **state)
{
    VirgaMetadataServer *server = data;
    VirgaMetadataRequest request = { .method = method, .path = path };
    g_auto(VirgaMetadataResponse) response = { 0 };
    g_autoptr(VirgaMetadata) metadata = NULL;
    char address[INET_ADDRSTRLEN];
    int fd;

    /* The first call comes before the body, which nobody reads. */
    if (!*state || *upload_size > 0) {
        *state = server;
        *upload_size = 0;
        return MHD_YES;
    }
    fd = peer_of(connection, address);
    metadata = fd >= 0 ? server->lookup(server->data, server->vpc_id, address) : NULL;
    if (!metadata) {
        response.status = 404;
        response.content_type = "text/plain";
        response.body = g_bytes_new_static("", 0);
        return send_answer(connection, &response);
    }
    request.token = header(connection, "X-aws-ec2-metadata-token");
    request.token_ttl = header(connection, "X-aws-ec2-metadata-token-ttl-seconds");
    request.forwarded_for = header(connection, "X-Forwarded-For");
    virga_metadata_respond(metadata, server->key, g_get_real_time() / G_USEC_PER_SEC, &request,
                           &response);
    set_hops(fd, response.token_ttl && metadata->hop_limit > 0 ? metadata->hop_limit : HOPS_USUAL);
    return send_answer(connection, &response);
}

VirgaMetadataServer *
virga_metadata_server_new(int fd, const char *vpc_id,
                          const guint8 key[static VIRGA_METADATA_KEY_SIZE],
                          VirgaMetadataLookup lookup, void *data, GError **error)
{
    VirgaMetadataServer *server = g_new0(VirgaMetadataServer, 1);

    server->vpc_id = g_strdup(vpc_id);
    memcpy(server->key, key, sizeof server->key);
    server->lookup = lookup;
    server->data = data;
    server->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, handle, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned) IDLE_TIMEOUT_S,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned) CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned) GUEST_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t) CONNECTION_MEMORY, MHD_OPTION_END);
    if (server->daemon)
        return server;
    close(fd);
    virga_metadata_server_free(server);
    virga_fail(error, "vpc", VIRGA_ERROR_INTERNAL, "could not serve metadata in vpc \"%s\"",
               vpc_id);
    return NULL;
}

void
virga_metadata_server_free(VirgaMetadataServer *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon); /* closes the socket */
    g_free(server->vpc_id);
    memset(server->key, 0, sizeof server->key);
    g_free(server);
}
