/* SPDX-License-Identifier: Apache-2.0 */
/* Forgets connections that were translated by an address that now means something else.
 *
 * Conntrack keeps the translation that a connection began with, for as long as packets flow.  When
 * a public address moves, its connections end, and the next packet begins one with the new. */
#include "kernel-priv.h"

#include "core/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER_SIZE 32768 /* bytes: what the kernel fills in one go of a dump */

typedef struct {
    VirgaConntrackFunc is_stale;
    void *data;
    GPtrArray *goners; /* of GBytes: the attribute that identifies one */
} Search;

static int
keep_attribute(const struct nlattr *attribute, void *data)
{
    const struct nlattr **table = data;
    unsigned type = mnl_attr_get_type(attribute);

    if (type < CTA_MAX)
        table[type] = attribute;
    return MNL_CB_OK;
}

/* The addresses of a tuple; 0 if it has none. */
static void
read_tuple(const struct nlattr *tuple, guint32 *ret_source, guint32 *ret_destination)
{
    const struct nlattr *parts[CTA_MAX] = { NULL }, *ip[CTA_MAX] = { NULL };

    *ret_source = *ret_destination = 0;
    if (!tuple)
        return;
    mnl_attr_parse_nested(tuple, keep_attribute, parts);
    if (!parts[CTA_TUPLE_IP])
        return;
    mnl_attr_parse_nested(parts[CTA_TUPLE_IP], keep_attribute, ip);
    if (ip[CTA_IP_V4_SRC] && mnl_attr_validate(ip[CTA_IP_V4_SRC], MNL_TYPE_U32) == 0)
        *ret_source = ntohl(mnl_attr_get_u32(ip[CTA_IP_V4_SRC]));
    if (ip[CTA_IP_V4_DST] && mnl_attr_validate(ip[CTA_IP_V4_DST], MNL_TYPE_U32) == 0)
        *ret_destination = ntohl(mnl_attr_get_u32(ip[CTA_IP_V4_DST]));
}

static int
look_at_entry(const struct nlmsghdr *message, void *data)
{
    const struct nlattr *attributes[CTA_MAX] = { NULL };
    Search *search = data;
    VirgaConnection connection = { 0 };
    guint32 status = 0;

    mnl_attr_parse(message, sizeof(struct nfgenmsg), keep_attribute, attributes);
    if (!attributes[CTA_TUPLE_ORIG])
        return MNL_CB_OK;
    read_tuple(attributes[CTA_TUPLE_ORIG], &connection.source, &connection.destination);
    read_tuple(attributes[CTA_TUPLE_REPLY], &connection.reply_source,
               &connection.reply_destination);
    if (attributes[CTA_STATUS] && mnl_attr_validate(attributes[CTA_STATUS], MNL_TYPE_U32) == 0)
        status = ntohl(mnl_attr_get_u32(attributes[CTA_STATUS]));
    connection.source_translated = status & IPS_SRC_NAT;
    connection.destination_translated = status & IPS_DST_NAT;
    if (search->is_stale(&connection, search->data))
        g_ptr_array_add(search->goners,
                        g_bytes_new(mnl_attr_get_payload(attributes[CTA_TUPLE_ORIG]),
                                    mnl_attr_get_payload_len(attributes[CTA_TUPLE_ORIG])));
    return MNL_CB_OK;
}

static struct nlmsghdr *
start_message(char *buffer, guint16 type, guint16 flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nfgenmsg *family;

    message->nlmsg_type = (guint16) (NFNL_SUBSYS_CTNETLINK << 8 | type);
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    family = mnl_nlmsg_put_extra_header(message, sizeof *family);
    family->nfgen_family = AF_INET;
    family->version = NFNETLINK_V0;
    return message;
}

/* Sends one message and reads its answers to the end; 0, or an errno. */
static int
converse(struct mnl_socket *sock, const struct nlmsghdr *message, mnl_cb_t callback, void *data)
{
    g_autofree char *buffer = g_malloc(BUFFER_SIZE);
    int more = MNL_CB_OK;

    if (mnl_socket_sendto(sock, message, message->nlmsg_len) < 0)
        return errno;
    while (more > MNL_CB_STOP) {
        ssize_t length = mnl_socket_recvfrom(sock, buffer, BUFFER_SIZE);

        if (length < 0)
            return errno;
        more = mnl_cb_run(buffer, (size_t) length, 0, mnl_socket_get_portid(sock), callback, data);
    }
    return more < 0 ? errno : 0;
}

static int
forget(struct mnl_socket *sock, Search *search)
{
    g_autofree char *buffer = g_malloc(BUFFER_SIZE);
    int failure =
        converse(sock, start_message(buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP), look_at_entry, search);

    for (guint i = 0; i < search->goners->len && failure == 0; i++) {
        gsize size;
        const void *tuple = g_bytes_get_data(search->goners->pdata[i], &size);
        struct nlmsghdr *message = start_message(buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK);

        mnl_attr_put(message, CTA_TUPLE_ORIG | NLA_F_NESTED, size, tuple);
        failure = converse(sock, message, NULL, NULL);
        if (failure == ENOENT) /* it ended meanwhile */
            failure = 0;
    }
    return failure;
}

bool
virga_conntrack_forget(VirgaConntrackFunc is_stale, void *data, GError **error)
{
    g_autoptr(GPtrArray) goners = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
    Search search = { is_stale, data, goners };
    struct mnl_socket *sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    int failure;

    if (!sock)
        return virga_fail_errno(error, "network", errno, "could not ask conntrack");
    failure = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ? errno : forget(sock, &search);
    mnl_socket_close(sock);
    return failure == 0 ||
           virga_fail_errno(error, "network", failure, "could not forget connections");
}
