/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets. */
#include "api/server.h"
#include "core/error.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int
listen_on(GSocketAddress *address, const char *name, bool is_tcp, GError **error)
{
    struct sockaddr_storage native;
    gssize size = g_socket_address_get_native_size(address);
    int on = 1, fd;

    if (!g_socket_address_to_native(address, &native, sizeof native, error))
        return -1;
    fd = socket(native.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        virga_fail_errno(error, "listener", errno, "could not create a socket");
        return -1;
    }
    if ((is_tcp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        bind(fd, (struct sockaddr *) &native, (socklen_t) size) < 0 || listen(fd, BACKLOG) < 0) {
        virga_fail_errno(error, "listener", errno, "could not listen on \"%s\"", name);
        close(fd);
        return -1;
    }
    return fd;
}

int
virga_http_listen_tcp(const char *address, GError **error)
{
    g_autoptr(GNetworkAddress) parsed = NULL;
    g_autoptr(GSocketAddress) native = NULL;

    parsed = G_NETWORK_ADDRESS(g_network_address_parse(address, 0, error));
    if (!parsed)
        return -1;
    native = g_inet_socket_address_new_from_string(g_network_address_get_hostname(parsed),
                                                   g_network_address_get_port(parsed));
    if (!native) {
        virga_fail(error, "listener", VIRGA_ERROR_INVALID,
                   "\"%s\" is not an address and a port, such as 127.0.0.1:8773", address);
        return -1;
    }
    return listen_on(native, address, true, error);
}

/* A socket file that nobody answers at is a leftover of a crash. */
static bool
is_served(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served;

    if (fd < 0)
        return false;
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    served = connect(fd, (struct sockaddr *) &address, sizeof address) == 0;
    close(fd);
    return served;
}

int
virga_http_listen_unix(const char *path, mode_t mode, GError **error)
{
    g_autoptr(GSocketAddress) address = NULL;
    struct stat found;
    int fd;

    if (strlen(path) >= sizeof((struct sockaddr_un *) NULL)->sun_path) {
        virga_fail(error, "listener", VIRGA_ERROR_INVALID, "socket path \"%s\" is too long", path);
        return -1;
    }
    if (lstat(path, &found) == 0) {
        if (!S_ISSOCK(found.st_mode) || is_served(path)) {
            virga_fail(error, "listener", VIRGA_ERROR_IN_USE, "\"%s\" is in use", path);
            return -1;
        }
        unlink(path);
    }
    address = g_unix_socket_address_new(path);
    fd = listen_on(address, path, false, error);
    if (fd >= 0 && chmod(path, mode) < 0) {
        virga_fail_errno(error, "listener", errno, "could not set the mode of \"%s\"", path);
        close(fd);
        return -1;
    }
    return fd;
}
