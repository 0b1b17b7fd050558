/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces, and what is done in them without running a program. */
#include "kernel-priv.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/magic.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NETNS_DIRECTORY "/run/netns/" /* iproute2's */

typedef struct {
    int namespace_fd;
    VirgaNetnsFunc func;
    void *data;
    GError *error;
    bool done;
} Visit;

char *
virga_netns_path(const char *name)
{
    return g_strconcat(NETNS_DIRECTORY, name, NULL);
}

bool
virga_netns_exists(const char *name)
{
    g_autofree char *path = virga_netns_path(name);
    struct statfs status;

    return statfs(path, &status) == 0 && status.f_type == NSFS_MAGIC;
}

static void *
visit(void *data)
{
    Visit *visit = data;

    if (setns(visit->namespace_fd, CLONE_NEWNET) < 0)
        virga_fail_errno(&visit->error, "network", errno, "could not enter a namespace");
    else
        visit->done = visit->func(visit->data, &visit->error);
    return NULL;
}

bool
virga_netns_run(const char *name, VirgaNetnsFunc func, void *data, GError **error)
{
    g_autofree char *path = virga_netns_path(name);
    Visit job = { open(path, O_RDONLY | O_CLOEXEC), func, data, NULL, false };

    if (job.namespace_fd < 0)
        return virga_fail_errno(error, "network", errno, "could not open namespace \"%s\"", name);
    g_thread_join(g_thread_new("netns", visit, &job));
    close(job.namespace_fd);
    if (job.error)
        g_propagate_error(error, job.error);
    return job.done;
}

bool
virga_sysctl_set(const char *path, const char *value, GError **error)
{
    g_autofree char *file = g_strconcat("/proc/sys/net/", path, NULL);
    char now[64];
    int fd = open(file, O_RDWR | O_CLOEXEC);
    gssize length;
    bool ok = true;

    if (fd < 0)
        return virga_fail_errno(error, "network", errno, "could not open \"%s\"", file);
    length = read(fd, now, sizeof now - 1);
    now[MAX(0, length)] = '\0';
    if (!g_str_equal(g_strchomp(now), value))
        ok = pwrite(fd, value, strlen(value), 0) == (gssize) strlen(value);
    if (!ok)
        virga_fail_errno(error, "network", errno, "could not write \"%s\"", file);
    close(fd);
    return ok;
}

/* Reads the attribute NFTA_GEN_ID out of the answer. */
static guint32
parse_generation(const char *answer, size_t length)
{
    size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
    struct nlattr attribute;
    guint32 id;

    while (at + sizeof attribute <= length) {
        memcpy(&attribute, answer + at, sizeof attribute);
        if (attribute.nla_len < sizeof attribute || at + attribute.nla_len > length)
            return 0;
        if ((attribute.nla_type & NLA_TYPE_MASK) == NFTA_GEN_ID &&
            attribute.nla_len == sizeof attribute + sizeof id) {
            memcpy(&id, answer + at + sizeof attribute, sizeof id);
            return g_ntohl(id);
        }
        at += NLA_ALIGN(attribute.nla_len);
    }
    return 0;
}

guint32
virga_nft_generation(void)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg message;
    } ask = { { .nlmsg_len = sizeof ask,
                .nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
                .nlmsg_flags = NLM_F_REQUEST },
              { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 } };
    char answer[4096];
    gssize length = -1;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd < 0)
        return 0;
    if (send(fd, &ask, sizeof ask, 0) == sizeof ask)
        length = recv(fd, answer, sizeof answer, 0);
    close(fd);
    return length > 0 ? parse_generation(answer, (size_t) length) : 0;
}

bool
virga_tap_create(const char *name, uid_t owner, GError **error)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    bool ok;

    if (fd < 0)
        return virga_fail_errno(error, "network", errno, "could not open \"/dev/net/tun\"");
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    /* Busy: somebody has it open, so it is there and usable. */
    ok = ioctl(fd, TUNSETIFF, &request) == 0 ? ioctl(fd, TUNSETOWNER, (unsigned long) owner) == 0 &&
                                                   ioctl(fd, TUNSETPERSIST, 1UL) == 0
                                             : errno == EBUSY;
    if (!ok)
        virga_fail_errno(error, "network interface", errno, "could not make tap \"%s\"", name);
    close(fd);
    return ok;
}

bool
virga_tap_has_carrier(const char *name)
{
    struct ethtool_value value = { .cmd = ETHTOOL_GLINK };
    struct ifreq request = { .ifr_data = (void *) &value };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool carrier;

    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    carrier = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && value.data;
    if (fd >= 0)
        close(fd);
    return carrier;
}
