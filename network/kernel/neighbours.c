/* SPDX-License-Identifier: Apache-2.0 */
/* The network behind the host's card learns where public addresses are: the host answers ARP for
 * those that its VPCs have, and tells everybody of one that is new here, so that neighbours forget
 * the host that had it before.  Nothing is remembered: the public routes of the host's own table
 * say what there should be. */
#include "host-priv.h"

#include "core/error.h"
#include "core/process.h"
#include "network/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef struct {
    const VirgaKernelConfig *config;
    GHashTable *wanted;   /* addresses as texts */
    GHashTable *answered; /* likewise */
    GHashTable *onlink;   /* blocks that are routed to the card */
} Look;

static GHashTable *
new_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void
look_clear(Look *look)
{
    g_hash_table_unref(look->wanted);
    g_hash_table_unref(look->answered);
    g_hash_table_unref(look->onlink);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

static bool
is_public(const VirgaKernelConfig *config, const char *address)
{
    guint32 number, base;
    unsigned prefix;

    for (char **cidr = config->public_cidrs; *cidr; cidr++)
        if (virga_ipv4_parse(address, &number) && virga_cidr_parse(*cidr, &base, &prefix) &&
            virga_cidr_has(base, prefix, number))
            return true;
    return false;
}

/* A route to a VPC's uplink, a route to the card, or an address that is answered for. */
static void
look_at(Look *look, JsonObject *object)
{
    g_autofree char *uplinks = g_strdup_printf("u%s", look->config->tag);
    const char *to = json_object_get_string_member_with_default(object, "dst", "");
    const char *device = json_object_get_string_member_with_default(object, "dev", "");

    if (json_object_has_member(object, "proxy")) {
        if (is_public(look->config, to))
            g_hash_table_add(look->answered, g_strdup(to));
    } else if (g_str_equal(device, look->config->public_interface)) {
        g_hash_table_add(look->onlink, g_strdup(to));
    } else if (g_str_has_prefix(device, uplinks) && is_public(look->config, to)) {
        g_hash_table_add(look->wanted, g_strdup(to));
    }
}

static bool
look(Look *look, GError **error)
{
    const char *argv[] = { "ip", "-4", "-j", "-batch", "-", NULL };
    g_autofree char *ask =
        g_strdup_printf("route show\nneigh show proxy dev %s\n", look->config->public_interface);
    g_autofree char *answer = NULL;
    g_auto(GStrv) lines = NULL;

    if (!virga_process_run(argv, ask, VIRGA_SPAWN_TIMEOUT_MS, &answer, error))
        return false;
    lines = g_strsplit(answer, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_autoptr(JsonNode) json = **line ? json_from_string(*line, NULL) : NULL;
        JsonArray *array = json && JSON_NODE_HOLDS_ARRAY(json) ? json_node_get_array(json) : NULL;

        for (guint i = 0; array && i < json_array_get_length(array); i++)
            if (JSON_NODE_HOLDS_OBJECT(json_array_get_element(array, i)))
                look_at(look, json_array_get_object_element(array, i));
    }
    return true;
}

/* Input of "ip -batch" that makes answered what is wanted. */
static char *
changes(const Look *look, bool clear)
{
    const char *card = look->config->public_interface;
    g_autoptr(GString) text = g_string_new(NULL);
    GHashTableIter iter;
    gpointer address;

    g_hash_table_iter_init(&iter, look->answered);
    while (g_hash_table_iter_next(&iter, &address, NULL))
        if (!g_hash_table_contains(look->wanted, address))
            g_string_append_printf(text, "neigh del proxy %s dev %s\n", (char *) address, card);
    g_hash_table_iter_init(&iter, look->wanted);
    while (g_hash_table_iter_next(&iter, &address, NULL))
        if (!g_hash_table_contains(look->answered, address))
            g_string_append_printf(text, "neigh replace proxy %s dev %s\n", (char *) address, card);
    for (char **cidr = look->config->public_cidrs; *cidr; cidr++)
        if (g_hash_table_contains(look->onlink, *cidr) == clear)
            g_string_append_printf(text, "route %s %s dev %s\n", clear ? "del" : "replace", *cidr,
                                   card);
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* A question for the address by the address itself (RFC 5227 3): whoever knows it takes the MAC. */
static void
announce(int fd, const struct sockaddr_ll *card, const char *address)
{
    struct sockaddr_ll to = *card;
    struct ether_arp arp = { .ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
                                         .ar_pro = htons(ETHERTYPE_IP),
                                         .ar_hln = ETH_ALEN,
                                         .ar_pln = 4,
                                         .ar_op = htons(ARPOP_REQUEST) } };

    memcpy(arp.arp_sha, card->sll_addr, ETH_ALEN);
    inet_pton(AF_INET, address, arp.arp_spa);
    inet_pton(AF_INET, address, arp.arp_tpa);
    memset(to.sll_addr, 0xff, ETH_ALEN);
    sendto(fd, &arp, sizeof arp, MSG_DONTWAIT, (struct sockaddr *) &to, sizeof to);
}

static bool
announce_new(const Look *look, GError **error)
{
    struct sockaddr_ll card = { .sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ARP),
                                .sll_halen = ETH_ALEN };
    struct ifreq request = { 0 };
    GHashTableIter iter;
    gpointer address;
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(request.ifr_name, look->config->public_interface, sizeof request.ifr_name);
    card.sll_ifindex = (int) if_nametoindex(request.ifr_name);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
        virga_fail_errno(error, "network", errno, "could not announce public addresses on \"%s\"",
                         request.ifr_name);
        if (fd >= 0)
            close(fd);
        return false;
    }
    memcpy(card.sll_addr, request.ifr_hwaddr.sa_data, ETH_ALEN);
    g_hash_table_iter_init(&iter, look->wanted);
    while (g_hash_table_iter_next(&iter, &address, NULL))
        if (!g_hash_table_contains(look->answered, address))
            announce(fd, &card, address);
    close(fd);
    return true;
}

bool
virga_neighbours_converge(const VirgaKernelConfig *config, bool clear, GError **error)
{
    g_auto(Look) is = { config, new_set(), new_set(), new_set() };
    g_autofree char *batch = NULL;
    g_autofree char *delay = NULL;

    if (!config->public_interface)
        return true;
    delay = g_strdup_printf("ipv4/neigh/%s/proxy_delay", config->public_interface);
    if (!look(&is, error))
        return false;
    batch = changes(&is, clear);
    return !batch || (virga_sysctl_set(delay, "0", error) && virga_ip_batch(batch, error) &&
                      announce_new(&is, error));
}
