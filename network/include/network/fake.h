/* SPDX-License-Identifier: Apache-2.0 */
/* A network in memory: for unit tests, the sandbox and demonstrations. */
#pragma once

#include "network/driver.h"

VirgaNetworkDriver *virga_network_fake_new(const char *tag, const char *host_id);

/* Makes the n-th call of any callback from now on fail with RETRY, once; 0: none. */
void virga_network_fake_fail_at(VirgaNetworkDriver *driver, unsigned call);
/* True if that call has come. */
bool virga_network_fake_failed(VirgaNetworkDriver *driver);

/* True if the VPC is here and the port's tap is plugged into it. */
bool virga_network_fake_plugged(VirgaNetworkDriver *driver, const char *vpc_id,
                                const char *port_id);
