/* SPDX-License-Identifier: Apache-2.0 */
#include "api/node-keys.h"

#include "core/error.h"
#include "storage/volume-key.h"

#include <string.h>

VirgaKeyring *
virga_services_keyring(const VirgaServices *services, GError **error)
{
    g_autofree char *path = virga_keyring_path(services->config);
    g_autoptr(GError) reason = NULL;
    VirgaKeyring *keyring = virga_keyring_open(path, false, &reason);

    if (!keyring)
        virga_fail(error, "volume key", VIRGA_ERROR_STATE,
                   "the key-encryption keys cannot be had, so what is encrypted cannot be opened: "
                   "%s",
                   reason->message);
    return keyring;
}

char *
virga_node_key(const VirgaServices *services, const char *host_id, const char *volume_id,
               GError **error)
{
    g_autoptr(VirgaKeyring) keyring = virga_services_keyring(services, error);
    g_autoptr(VirgaTxn) txn = keyring ? virga_db_begin(services->db, error) : NULL;
    char *passphrase, *json = NULL;

    if (!txn)
        return NULL;
    passphrase = virga_volume_key_for_host(txn, keyring, volume_id, host_id, error);
    /* Base64 needs no quoting.  What was made is used only after it is durable. */
    if (passphrase && virga_txn_commit(txn, error))
        json = g_strconcat("{\"passphrase\":\"", passphrase, "\"}", NULL);
    virga_passphrase_free(passphrase);
    return json;
}

bool
virga_node_keys_prepare(const VirgaServices *services, GError **error)
{
    g_autofree char *path = virga_keyring_path(services->config);
    g_autofree char *directory = g_path_get_dirname(path);
    g_autoptr(VirgaTxn) txn = virga_db_read(services->db, error);
    g_autoptr(VirgaKeyring) keyring = NULL;
    bool any;

    if (!txn || !virga_volume_key_any(txn, &any, error))
        return false;
    g_mkdir_with_parents(directory, 0700);
    keyring = virga_keyring_open(path, !any, error);
    return keyring != NULL;
}
