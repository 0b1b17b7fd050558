/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest is told about itself at http://169.254.169.254: EC2's instance metadata, versions 1
 * and 2, as a pure function of a document that the controller sends and the host keeps on disk.
 *
 * A token is an expiry and its HMAC with the instance's id, so that none is stored and all survive
 * a restart of virga-node with the same key; one guest's token is no use to another. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#define VIRGA_METADATA_KEY_SIZE 32

typedef struct {
    char *key, *value;
} VirgaMetadataTag;

typedef struct {
    char *name;   /* "ami", "root", "ebs1", "ephemeral0" */
    char *device; /* "/dev/sda1", "sdf" */
} VirgaMetadataDisk;

typedef struct {
    char *mac;
    char *interface_id; /* "eni-0…" */
    gint64 device_number;
    char *owner_id;
    char *local_hostname;
    char *public_hostname;   /* or NULL */
    char **local_addresses;  /* the primary one first */
    char *public_address;    /* of the primary one, or NULL */
    char **public_addresses; /* of each local one, in their order; "": none */
    char **group_names, **group_ids;
    char *subnet_id, *subnet_cidr;
    char *vpc_id;
    char **vpc_cidrs; /* the primary one first */
} VirgaMetadataInterface;

typedef struct {
    char *instance_id, *instance_type, *image_id, *reservation_id;
    char *account_id;
    char *region, *zone;
    char *architecture;    /* "x86_64" */
    char *pending_time;    /* "2026-01-02T03:04:05Z" */
    char *lifecycle;       /* "on-demand", "spot" */
    char *partition;       /* NULL: "aws" */
    char *services_domain; /* NULL: "amazonaws.com" */
    gint64 launch_index;
    char *placement_group;          /* its name, or NULL */
    gint64 placement_partition;     /* in it; 0: none */
    char *key_name, *public_key;    /* both or none */
    char *user_data;                /* base64, or NULL */
    char *profile_id, *profile_arn; /* of the instance profile; both or none */
    /* The host adds these, with what it got for the profile last: */
    char *profile_code;        /* "Success", or what is wrong with it; NULL: nothing yet */
    char *credentials_updated; /* "2026-01-02T03:04:05Z" */
    char *role_name;
    char *credentials;     /* JSON as it is served, or NULL */
    GPtrArray *interfaces; /* VirgaMetadataInterface; the primary one first */
    GPtrArray *disks;      /* VirgaMetadataDisk */
    GPtrArray *tags;       /* VirgaMetadataTag; served only with 'instance_tags' */
    bool instance_tags;
    bool disabled;        /* HttpEndpoint=disabled */
    bool tokens_required; /* HttpTokens=required */
    gint64 hop_limit;     /* HttpPutResponseHopLimit */
} VirgaMetadata;

/* Empty, with lists. */
VirgaMetadata *virga_metadata_new(void);
void virga_metadata_free(VirgaMetadata *metadata);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaMetadata, virga_metadata_free)

VirgaMetadataInterface *virga_metadata_add_interface(VirgaMetadata *metadata);
VirgaMetadataDisk *virga_metadata_add_disk(VirgaMetadata *metadata, const char *name,
                                           const char *device);
VirgaMetadataTag *virga_metadata_add_tag(VirgaMetadata *metadata, const char *key,
                                         const char *value);

/* Fails with INVALID. */
VirgaMetadata *virga_metadata_from_text(const char *text, GError **error);
char *virga_metadata_to_text(const VirgaMetadata *metadata);

/* Loans; headers are NULL when the request has none. */
typedef struct {
    const char *method, *path;
    const char *token;         /* X-aws-ec2-metadata-token */
    const char *token_ttl;     /* X-aws-ec2-metadata-token-ttl-seconds */
    const char *forwarded_for; /* X-Forwarded-For */
} VirgaMetadataRequest;

typedef struct {
    unsigned status;
    GBytes *body;             /* never NULL; of a HEAD request: what GET would have got */
    const char *content_type; /* a literal */
    char *token_ttl;          /* header of a new token, whose answer has the hop limit, or NULL */
} VirgaMetadataResponse;

void virga_metadata_response_clear(VirgaMetadataResponse *response);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VirgaMetadataResponse, virga_metadata_response_clear)

/* Answers one request; 'now' is in seconds since 1970.  Never fails: errors are answers. */
void virga_metadata_respond(const VirgaMetadata *metadata,
                            const guint8 key[static VIRGA_METADATA_KEY_SIZE], gint64 now,
                            const VirgaMetadataRequest *request, VirgaMetadataResponse *ret);
